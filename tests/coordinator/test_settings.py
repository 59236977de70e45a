"""Defaults, overrides and refusals of the FEDRELA_* variables."""

from pathlib import Path

import pytest

from fedrela.coordinator.settings import MINIMAL_ADMIN_KEY, Settings
from fedrela.core import signing
from fedrela.core.errors import InvalidInput

SECRETS = {"FEDRELA_ADMIN_KEY": "k" * 32, "FEDRELA_SIGNING_KEY": "11" * 32}
NUMBERS = {
    "FEDRELA_IDLE_RETRY_SECONDS": "idle_retry_seconds",
    "FEDRELA_RATE_PER_DEVICE": "requests_per_device_per_second",
    "FEDRELA_RATE_PER_ADDRESS": "requests_per_address_per_second",
    "FEDRELA_MAX_BLOB_BYTES": "max_blob_bytes",
    "FEDRELA_MAX_UPLOADS_IN_MEMORY_BYTES": "max_uploads_in_memory_bytes",
    "FEDRELA_KEEP_CHECKPOINTS": "keep_checkpoints",
    "FEDRELA_THREADS": "threads",
    "FEDRELA_STRANGERS_PER_ADDRESS": "strangers_per_address",
    "FEDRELA_HEADER_SECONDS": "header_seconds",
    "FEDRELA_STALL_SECONDS": "stall_seconds",
    "FEDRELA_RETENTION_DAYS": "retention_days",
}
SET = Settings.from_environment(SECRETS)


@pytest.mark.parametrize("name", NUMBERS)
def test_each_number_reaches_its_own_setting_and_no_other(name: str) -> None:
    default, changed = Settings.from_environment(SECRETS), Settings.from_environment(SECRETS | {name: "7"})
    differing = [setting for setting in vars(default) if getattr(default, setting) != getattr(changed, setting)]
    assert differing == [NUMBERS[name]]
    assert getattr(changed, NUMBERS[name]) == 7


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("text", ["x", "-1", "inf", "nan", "1,5"])
def test_a_number_that_is_none_is_refused_by_name(name: str, text: str) -> None:
    with pytest.raises(InvalidInput, match=f"{name} is '{text}'"):
        Settings.from_environment(SECRETS | {name: text})


@pytest.mark.parametrize(
    "url",
    [
        "fl.example.org",
        "https://fl.example.org/join",
        "ftp://x",
        "https://a b",
        "https://[[",
        "https://]",
        "https://:80",
        "https://x:99999",
        "https://x:0",
    ],
)
def test_a_public_url_is_an_origin(url: str) -> None:
    with pytest.raises(InvalidInput, match="FEDRELA_PUBLIC_URL"):
        Settings.from_environment(SECRETS | {"FEDRELA_PUBLIC_URL": url})
    settings = Settings.from_environment(SECRETS | {"FEDRELA_PUBLIC_URL": "https://fl.example.org:8443/"})
    assert settings.public_url == "https://fl.example.org:8443"


@pytest.mark.parametrize("flag", ["FEDRELA_DEV", "FEDRELA_VIRTUAL_CLOCK"])
@pytest.mark.parametrize("text", ["true", "2", " 1", "no"])
def test_a_flag_is_one_or_nought(flag: str, text: str) -> None:
    with pytest.raises(InvalidInput, match=flag):
        Settings.from_environment(SECRETS | {flag: text})


def test_an_empty_variable_is_an_unset_one() -> None:
    empty = dict.fromkeys([*NUMBERS, "FEDRELA_DATABASE_URL", "FEDRELA_BLOBS_URL", "FEDRELA_DEV"], "")
    assert Settings.from_environment(SECRETS | empty) == Settings.from_environment(SECRETS)


def test_defaults_limit_a_real_service_and_not_a_trial(tmp_path: Path) -> None:
    defaults = Settings.from_environment(SECRETS | {"FEDRELA_DATA": str(tmp_path)})
    assert (defaults.dev, defaults.virtual_clock, defaults.keep_checkpoints) == (False, False, 0)
    assert (defaults.requests_per_device_per_second, defaults.requests_per_address_per_second) == (20, 1000)
    assert (defaults.database_url, defaults.blobs_url) == (
        f"sqlite:///{tmp_path}/coordinator.sqlite",
        f"file://{tmp_path}/blobs",
    )
    trial = Settings.from_environment(SECRETS | {"FEDRELA_DEV": "1", "FEDRELA_VIRTUAL_CLOCK": "1"})
    assert trial.dev
    assert trial.virtual_clock
    assert (trial.requests_per_device_per_second, trial.requests_per_address_per_second) == (0, 0)
    assert trial.idle_retry_seconds < defaults.idle_retry_seconds


def test_an_admin_key_may_be_just_long_enough() -> None:
    assert Settings.from_environment(SECRETS | {"FEDRELA_ADMIN_KEY": "k" * MINIMAL_ADMIN_KEY})
    with pytest.raises(InvalidInput, match=f"has {MINIMAL_ADMIN_KEY - 1} characters"):
        Settings.from_environment(SECRETS | {"FEDRELA_ADMIN_KEY": "k" * (MINIMAL_ADMIN_KEY - 1)})


@pytest.mark.parametrize("end", [" ", "\r", "\n", "\t", "\x00", "\x7f", "é"])
def test_an_admin_key_is_what_a_header_can_carry_and_a_refusal_does_not_repeat_it(end: str) -> None:
    for key in ("k" * 32 + end, end + "k" * 32, "k" * 32 + end + "k"):
        with pytest.raises(InvalidInput, match="FEDRELA_ADMIN_KEY holds") as caught:
            Settings.from_environment(SECRETS | {"FEDRELA_ADMIN_KEY": key})
        assert "kkk" not in str(caught.value)


@pytest.mark.parametrize("key", ["AB" * 32, "11" * 31, "11" * 33, "11" * 32 + "\n", "gg" * 32])
def test_a_signing_key_is_64_lower_case_digits_and_a_refusal_does_not_repeat_it(key: str) -> None:
    with pytest.raises(InvalidInput, match="FEDRELA_SIGNING_KEY") as caught:
        Settings.from_environment(SECRETS | {"FEDRELA_SIGNING_KEY": key})
    assert key not in str(caught.value)


def test_given_secrets_win_over_made_ones_and_nothing_is_written(tmp_path: Path) -> None:
    loaded = Settings.from_environment(SECRETS | {"FEDRELA_DEV": "1", "FEDRELA_DATA": str(tmp_path / "data")})
    assert (loaded.admin_key, loaded.signing_key) == ("k" * 32, "11" * 32)
    assert not (tmp_path / "data").exists()


def test_the_repr_holds_no_secret_and_the_public_key_is_the_signing_key_s() -> None:
    loaded = Settings.from_environment(SECRETS)
    assert "k" * 32 not in repr(loaded)
    assert "11" * 32 not in repr(loaded)
    signing.verify(loaded.public_key, b"x", signing.sign(loaded.signing_key, b"x"))


@pytest.mark.parametrize("name", [name for name, field in NUMBERS.items() if isinstance(getattr(SET, field), int)])
@pytest.mark.parametrize("text", ["2.5", "1e-3"])
def test_a_part_of_a_whole_is_refused_and_never_cut_off(name: str, text: str) -> None:
    with pytest.raises(InvalidInput, match=f"{name} is '{text}'; set it to a whole number"):
        Settings.from_environment(SECRETS | {name: text})


def test_an_empty_name_of_the_data_folder_is_not_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert Settings.from_environment(SECRETS | {"FEDRELA_DATA": ""}).data_folder == tmp_path / "fedrela-data"


def test_a_data_folder_that_can_t_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for name in ("file", "file/below"):
        with pytest.raises(InvalidInput, match=rf"the folder .*{name} can't be made"):
            Settings.from_environment({"FEDRELA_DEV": "1", "FEDRELA_DATA": str(tmp_path / name)})

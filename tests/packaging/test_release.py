"""What `make dist` makes of a page that was built, and what it refuses to release."""

import shutil
from pathlib import Path

import pytest

from tests.packaging import distributions, release


@pytest.fixture
def built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout whose phone page is built: a small one."""
    root = distributions.copy_tracked_files(tmp_path / "checkout")
    monkeypatch.setattr(distributions, "ROOT", root)
    monkeypatch.setattr(
        distributions, "copy_tracked_files", lambda target: shutil.copytree(root, target, symlinks=True)
    )
    page = root / release.PAGE / "assets"
    page.mkdir(parents=True)
    (page.parent / "index.html").write_text("<html></html>")
    (page / "runtime.wasm.br").write_bytes(b"small")
    return root


def test_the_page_is_in_both_and_the_metadata_are_whole(built: Path, tmp_path: Path) -> None:
    sdist, wheel = release.make(tmp_path / "dist")
    assert release.faults(wheel) == []
    source = distributions.unpack(sdist, tmp_path / "source")
    assert (source / "fedrela" / release.PAGE / "assets" / "runtime.wasm.br").read_bytes() == b"small"


def test_a_wheel_without_its_page_or_with_a_large_one_is_not_released(
    wheel: Path, built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert release.faults(wheel) == ["the phone page is not in it: make web"]
    monkeypatch.setattr(release, "MOST_BYTES_OF_PAGE", 10)
    _, large = release.make(tmp_path / "dist")
    (fault,) = release.faults(large)
    assert "bytes installed, 10 are allowed" in fault

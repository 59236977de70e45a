"""The artifact folder: a round trip, and every byte that could be flipped."""

import errno
import json
import os
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fedrela.conformance import placeholders
from fedrela.core import bundle, signing, strict
from fedrela.core.bundle import Golden, Manifest, ProgramInput
from fedrela.core.errors import IntegrityError, InvalidBundle, InvalidTensors

KEY = signing.generate_key()
WEIGHTS = {"w": np.array([[1, 2], [3, 4]], np.float32), "mean": np.array([0, 0], np.float32)}
GOLDEN_BODY = b"golden"


MANIFEST = Manifest(
    name="tiny",
    classes=2,
    **placeholders.programs(
        (
            ProgramInput("w", "parameter", (2, 2)),
            ProgramInput("mean", "buffer", (2,)),
            ProgramInput("momentum.w", "optimizer", (2, 2)),
        ),
        ProgramInput("x", "x", ("B", 2)),
        2,
    ),
    golden=Golden("golden.safetensors", signing.sha256(GOLDEN_BODY), len(GOLDEN_BODY)),
    class_names=("cat", "dog"),
)


@pytest.fixture
def folder(tmp_path):
    for name in bundle.PROGRAMS:
        (tmp_path / f"{name}.onnx").write_bytes(placeholders.body(name))
    (tmp_path / "golden.safetensors").write_bytes(GOLDEN_BODY)
    bundle.write(tmp_path, MANIFEST, WEIGHTS, private_key=KEY)
    return tmp_path


def test_round_trip(folder):
    read = bundle.read(folder, trusted_key=signing.public_key(KEY))
    assert read.manifest == MANIFEST
    assert all(np.array_equal(read.weights[name], WEIGHTS[name]) for name in WEIGHTS)
    assert [spec.name for spec in MANIFEST.weights] == ["w", "mean"]
    assert [spec.name for spec in MANIFEST.x] == ["x"]
    assert read.manifest.train_step.file("executorch") is None


def test_blobs_are_named_by_their_hash_and_hold_every_file_but_the_seal(folder):
    blobs = bundle.read(folder).blobs()
    assert all(signing.sha256(body) == name for name, body in blobs.items())
    assert len(blobs) == len(list(folder.iterdir())) - 1


def test_other_weights_change_only_the_weights_and_the_seal(folder):
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    bundle.write(folder, MANIFEST, {name: array + 1 for name, array in WEIGHTS.items()}, private_key=KEY)
    changed = {path.name for path in folder.iterdir() if path.read_bytes() != before[path.name]}
    assert changed == {"weights.safetensors", "seal.json"}


def test_any_flipped_byte_is_noticed(folder):
    for path in sorted(folder.iterdir()):
        body = path.read_bytes()
        for position in range(0, len(body), max(1, len(body) // 40)):
            path.write_bytes(body[:position] + bytes([body[position] ^ 1]) + body[position + 1 :])
            with pytest.raises((IntegrityError, InvalidBundle)):
                bundle.read(folder, trusted_key=signing.public_key(KEY))
        path.write_bytes(body)
    bundle.read(folder)


@pytest.mark.parametrize("name", ["manifest.json", "weights.safetensors", "seal.json", "train_step.onnx"])
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()
    with pytest.raises(InvalidBundle, match=name):
        bundle.read(folder)


def test_another_publisher_is_refused(folder):
    with pytest.raises(IntegrityError, match="trusted key"):
        bundle.read(folder, trusted_key=signing.public_key(signing.generate_key()))


def unsigned(folder):
    """As version 0.1 left them."""
    stated = strict.from_json(bundle.Seal, (folder / "seal.json").read_bytes())
    (folder / "seal.json").write_bytes(strict.to_json(replace(stated, public_key="", signature="")))


def test_an_unsigned_bundle_is_refused_until_its_publisher_has_signed_it(folder):
    unsigned(folder)
    with pytest.raises(InvalidBundle, match=r"is not signed.* fedrela seal"):
        bundle.read(folder)
    assert bundle.read_unsigned(folder).seal.signature == ""
    assert bundle.seal(folder, KEY) == bundle.read(folder).seal


def test_a_signature_that_is_wrong_is_refused_wherever_a_bundle_is_read(folder):
    sealed = strict.from_json(bundle.Seal, (folder / "seal.json").read_bytes())
    for forged in (replace(sealed, signature="00" * 64), replace(sealed, public_key="")):
        (folder / "seal.json").write_bytes(strict.to_json(forged))
        for read in (bundle.read, bundle.read_unsigned):
            with pytest.raises((IntegrityError, InvalidBundle)):
                read(folder)


@pytest.mark.parametrize(
    "weights", [{"w": WEIGHTS["w"]}, WEIGHTS | {"w": np.zeros(3, np.float32)}, WEIGHTS | {"w": WEIGHTS["w"] * np.nan}]
)
def test_weights_that_do_not_fit_are_never_written(tmp_path, weights):
    with pytest.raises(InvalidTensors):
        bundle.write(tmp_path, MANIFEST, weights, private_key=KEY)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"manifest_sha256": 7}', b"\xff"])
def test_a_seal_that_is_none_is_named(folder, body):
    (folder / "seal.json").write_bytes(body)
    with pytest.raises(InvalidBundle, match=r"seal\.json is no seal: .* fetch the bundle again"):
        bundle.read(folder)


@pytest.mark.parametrize("name", ["manifest.json", "weights.safetensors", "seal.json", "train_step.onnx"])
def test_a_file_that_this_user_may_not_read_is_named(folder, monkeypatch, name):
    whole = Path.read_bytes

    def refuse(path):
        if path.name == name:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return whole(path)

    monkeypatch.setattr(Path, "read_bytes", refuse)  # the tests may run as root, who may read everything
    with pytest.raises(InvalidBundle, match=rf"{re.escape(name)} can't be read \(Permission denied\)"):
        bundle.read(folder)


@pytest.mark.parametrize("path", ["../train_step.onnx", "/etc/passwd", "a/b", "..", ""])
def test_a_path_that_leaves_the_folder_is_refused(path):
    file = replace(MANIFEST.predict.files[0], path=path)
    body = strict.to_json(replace(MANIFEST, predict=replace(MANIFEST.predict, files=(file,))))
    with pytest.raises(InvalidBundle, match="path"):
        bundle.parse_manifest(body)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"schema_version": 2}, "schema_version is 2"),
        ({"classes": 1}, "1 classes"),
        ({"class_names": ("cat",)}, "class names"),
    ],
)
def test_impossible_manifests_are_refused(change, says):
    with pytest.raises(InvalidBundle, match=says):
        bundle.parse_manifest(strict.to_json(replace(MANIFEST, **change)))


def test_a_program_without_a_file_is_refused():
    body = strict.to_json(replace(MANIFEST, predict=replace(MANIFEST.predict, files=())))
    with pytest.raises(InvalidBundle, match="predict"):
        bundle.parse_manifest(body)


def test_statistics_are_the_buffers_and_no_weights_are_written_or_read_below_their_lowest_value(folder):
    manifest = replace(MANIFEST, lowest_values={"mean": 0.0})
    assert manifest.statistics == {"mean"}
    assert [spec.name for spec in manifest.parameters] == ["w"]
    low = WEIGHTS | {"mean": np.array([0.5, -1e-9], np.float32)}
    bundle.write(folder, MANIFEST, low, private_key=KEY)
    assert bundle.read(folder).manifest.lowest_values == {}
    with pytest.raises(InvalidTensors, match="'mean' holds a value below 0"):
        bundle.write(folder, manifest, low, private_key=KEY)
    (folder / "manifest.json").write_bytes(strict.to_json(manifest))
    bundle.seal(folder, KEY)
    with pytest.raises(InvalidTensors, match="'mean' holds a value below 0"):
        bundle.read(folder)


@pytest.mark.parametrize("name", ["w", "momentum.w", "x", "nothing"])
def test_only_a_statistic_has_a_lowest_value(name):
    with pytest.raises(InvalidBundle, match="no statistic"):
        bundle.parse_manifest(strict.to_json(replace(MANIFEST, lowest_values={name: 0.0})))


def test_a_manifest_of_before_there_were_lowest_values_has_none():
    values = json.loads(strict.to_json(replace(MANIFEST, lowest_values={"mean": 0.0})))
    del values["lowest_values"]
    assert bundle.parse_manifest(json.dumps(values).encode()) == MANIFEST

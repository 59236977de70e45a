"""The ExecuTorch programs of a bundle: bounded batches, padding, the same bytes again, and no trace of their maker."""

import getpass
from pathlib import Path

import numpy as np
import pytest

from fedrela.core import bundle
from fedrela.export import export_classifier
from fedrela.export.verification import replay
from tests.export.conftest import OPTIONS, tiny
from tests.export.verification import feeding

MAX_BATCH = 9


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """`tiny` for ExecuTorch."""
    folder = tmp_path_factory.mktemp("executorch") / "bundle"
    return export_classifier(tiny(), out=folder, runtimes=("executorch",), max_batch=MAX_BATCH, **OPTIONS)


@pytest.fixture(scope="module")
def opened(made):
    """The bundle, read and checked."""
    return bundle.read(made.folder)


def test_any_batch_up_to_the_bound_and_none_beyond(opened):
    step = replay.load(opened, "executorch")["train_step"]
    assert opened.manifest.train_step.file("executorch").max_batch == MAX_BATCH
    for batch in (1, 2, 5, MAX_BATCH):
        outputs = step(feeding.inputs(opened.manifest, batch))
        assert outputs["weight_sum"] == batch
        assert all(np.isfinite(value).all() for value in outputs.values())
    with pytest.raises(RuntimeError):
        step(feeding.inputs(opened.manifest, MAX_BATCH + 1))


def test_padding_of_weight_zero_changes_nothing(opened):
    feeding.check_padding(opened.manifest, replay.load(opened, "executorch")["train_step"], batch=5, surplus=3)


def test_both_runtimes_take_the_same_step(opened, exported):
    given = feeding.inputs(opened.manifest, 6)
    ours = replay.load(opened, "executorch")["train_step"](given)
    theirs = replay.load(bundle.read(exported.folder), "onnx")["train_step"](given)
    for name, value in theirs.items():
        np.testing.assert_allclose(ours[name], value, atol=2e-5, rtol=1e-4, err_msg=name)


def test_exporting_again_gives_the_same_bytes_and_nothing_tells_who_made_them(made, tmp_path):
    options = OPTIONS | {"runtimes": ("executorch",), "max_batch": MAX_BATCH}
    again = export_classifier(tiny(seed=1), out=tmp_path / "elsewhere", **options)
    traces = {str(Path.home()), str(tmp_path), str(Path(__file__).parents[3]), "site-packages", ".py", "Traceback"}
    traces |= {"/tmp/", f"/{getpass.getuser()}/"}
    for path in made.folder.iterdir():
        body = path.read_bytes()
        same = body == (again.folder / path.name).read_bytes()
        assert same == (path.name not in ("weights.safetensors", "seal.json")), path.name
        assert not [trace for trace in traces if trace.encode() in body], path.name

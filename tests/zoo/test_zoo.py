"""What the zoo says of itself: enough models of enough packages, a page that agrees with its results, real limits."""

import re
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
import torch
from torch import nn

from fedrela.export import export_classifier
from fedrela.export.classifier import gather
from fedrela.export.tracing.model_analysis import analyze
from fedrela.export.verification.equality import TOLERANCE
from tests.zoo import limits, page, results, stepping
from tests.zoo.catalog import ENTRIES
from tests.zoo.limits import Limits

HERE = Path(__file__).parent
INPUT, CLASSES = "float32:4", 3


def pinned(file):
    """Names that a file of requirements pins or asks for."""
    lines = [re.split(r"[=<>\[ ]", line)[0] for line in (HERE / file).read_text().splitlines()]
    return {line.lower().replace("_", "-") for line in lines if line and not line.startswith("#")}


def test_there_are_enough_models_of_enough_packages_and_kinds():
    assert len(ENTRIES) >= 110
    assert len({entry.package for entry in ENTRIES.values()}) >= 12
    assert {entry.kind for entry in ENTRIES.values()} >= {"tabular", "image", "audio", "text", "sensor"}


def test_every_package_is_asked_for_and_pinned():
    packages = {entry.package for entry in ENTRIES.values()}
    assert pinned("requirements.txt") == packages
    assert packages <= pinned("lock.txt")
    assert {"torch", "executorch", "onnxruntime"}.isdisjoint(pinned("lock.txt")), "the exporter's own are its own"


def test_the_page_is_written_from_the_kept_results():
    assert page.PAGE.read_text() == page.page(results.read())


def test_every_result_is_of_a_model_there_is_and_of_a_known_outcome(tmp_path):
    kept = results.read()
    assert kept.keys() == {results.key(result) for result in kept.values()}
    assert {result["outcome"] for result in kept.values()} <= set(results.OUTCOMES)
    lines = results.FILE.read_text().splitlines()
    assert len(lines) == len(kept), "no result outlives its model, none is kept twice"
    for result in [result for result in kept.values() if result["runtime"] == "onnx"]:
        results.keep(result, tmp_path / "zoo.jsonl")
    assert (tmp_path / "zoo.jsonl").read_text().splitlines() == [line for line in lines if '"onnx"' in line]


def spin():
    """Takes time."""
    while True:
        pass


def swell():
    """Takes memory."""
    held = bytearray(b"1") * 2**30
    while held:
        pass


def start_one_that_spins():
    """Takes time in a process below its own."""
    subprocess.run([sys.executable, "-c", "while True: pass"], check=False)


@pytest.mark.parametrize(
    ("work", "few", "ends"),
    [
        (spin, Limits(processor_seconds=0.3), "over time"),
        (start_one_that_spins, Limits(processor_seconds=0.3), "over time"),
        (swell, Limits(resident_bytes=psutil.Process().memory_info().rss + 2.0**29), "over memory"),
        (lambda: print("done"), Limits(), ""),
    ],
)
def test_what_takes_too_much_is_ended_with_its_children(work, few, ends):
    before = psutil.Process().children()  # of other tests
    ran = limits.run(work, few)
    assert ran.beyond == ends
    assert ran.output == ("done\n" if not ends else "")
    left = [one for one in psutil.Process().children() if one not in before]
    assert not [one for one in left if one.status() != psutil.STATUS_ZOMBIE]


def test_a_second_part_may_take_as_long_as_the_first():
    def work():
        print("second part", flush=True)
        spin()

    ran = limits.run(work, Limits(0.3, as_long_again_after="second part"))
    assert ran.beyond == "over time"
    assert ran.processor_seconds > 0.6


class Leaning(nn.Module):
    """Dropout and a leaky unit whose slope is 0.1."""

    def __init__(self):
        super().__init__()
        self.first, self.drop, self.last = nn.Linear(4, 8), nn.Dropout(0.2), nn.Linear(8, CLASSES)

    def slope(self):
        """Of the leaky unit, in the next pass."""
        return 0.1

    def forward(self, x):
        """x (B, 4); logits (B, CLASSES)."""
        return self.last(self.drop(nn.functional.leaky_relu(self.first(x), self.slope())))


class Counting(Leaning):
    """The slope grows a little with every pass: a count that no program knows."""

    passes = 0

    def slope(self):
        """Of the leaky unit, in the next pass."""
        self.passes += 1
        return 0.1 + 0.001 * self.passes


@pytest.fixture(scope="module")
def leaning(tmp_path_factory):
    """The folder of a bundle, and the weights that it starts from."""
    torch.manual_seed(0)
    model = Leaning()
    out = tmp_path_factory.mktemp("leaning") / "bundle"
    export_classifier(model, input=INPUT, classes=CLASSES, out=out)
    return out, model.state_dict()


@pytest.mark.parametrize(("kind", "right"), [(Leaning, True), (Counting, False)])
def test_twenty_steps_beside_a_module_that_lasts_find_what_it_counts(leaning, kind, right):
    out, weights = leaning
    model = kind()
    model.load_state_dict(weights)
    recipe = gather(input=INPUT, classes=CLASSES)
    followed = stepping.follow(out, model, recipe, "onnx", analyze(Leaning(), recipe).randoms)
    assert (followed.largest_error <= TOLERANCE) == right
    assert followed.tensors == 5, "four tensors and the losses"

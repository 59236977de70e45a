"""The logits in what a model gives."""

from dataclasses import dataclass

import pytest
import torch

from fedrela.export.tracing.outputs import logits

SCORES, OTHERS = torch.ones(4, 3), torch.zeros(4, 5)


@dataclass
class Output:
    """As a library's own."""

    logits: torch.Tensor
    hidden: torch.Tensor


@pytest.mark.parametrize(
    ("output", "what"),
    [
        (SCORES, ""),
        (Output(SCORES, OTHERS), "of a Output the logits"),
        ({"hidden": OTHERS, "logits": SCORES, "aux_logits": OTHERS}, "of a dict what is called logits"),
        ({"hidden": torch.zeros(4, 3), "end_logits": SCORES}, "of a dict what is called end_logits"),
        ({"hidden": OTHERS, "loss": None, "outputs": SCORES}, "of a dict what is called outputs"),
        ((SCORES, OTHERS), "of a tuple the first tensor"),
        (SCORES[:, :, None, None], "further dimensions of size 1 are left out"),
    ],
)
def test_they_are_found_and_it_is_said_how(output: object, what: str) -> None:
    found, said = logits(output, 3)
    assert torch.equal(found, SCORES)
    assert said == what


@pytest.mark.parametrize(
    "output",
    [{"one": SCORES, "other": SCORES}, {"hidden": OTHERS}, {"a_logits": SCORES, "b_logits": SCORES}, {}, (), "none"],
)
def test_what_holds_none_or_several_is_given_back(output: object) -> None:
    assert logits(output, 3) == (output, "")

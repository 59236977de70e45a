"""`python -m fedrela.study.runs.start MODEL SEED OUT` writes a model's start weights for a seed.

A process of its own, so that the study itself needs no torch.

    $ python -m fedrela.study.runs.start fedrela.study.models:digits_cnn 1 weights.safetensors
"""

import sys
from pathlib import Path

import torch

from fedrela.core import tensors
from fedrela.export.loading import load_model


def main(target: str, seed: int, out: Path) -> None:
    """Parameters and buffers of `target` as torch initializes them after `torch.manual_seed(seed)`."""
    torch.manual_seed(seed)
    model = load_model(target)  # by the rules of `fedrela export MODEL`
    floats = {name: value for name, value in model.state_dict().items() if value.is_floating_point()}
    state = {name: value.detach().float().numpy() for name, value in floats.items()}
    out.write_bytes(tensors.to_bytes(state))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))

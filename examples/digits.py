"""A model of one's own: any function that returns a torch.nn.Module can be exported.

$ fedrela export examples.digits:build --input uint8:1x8x8 --classes 10 --out bundle
"""

import torch
from torch import nn


def build() -> nn.Module:
    """A small convolutional classifier of 8x8 gray images, with the same start weights every time."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(32 * 2 * 2, 128),
        nn.ReLU(),
        nn.Linear(128, 10),
    )

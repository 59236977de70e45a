"""One small export that the tests of this folder share."""

import pytest
import torch
from torch import nn

from fedrela.export import export_classifier

OPTIONS = {"input": "uint8:2x6x5", "classes": 3, "augment": "crop=1,flip", "name": "tiny"}


@pytest.fixture(autouse=True)
def _seeded():
    """The same weights whichever tests ran before."""
    torch.manual_seed(0)


def tiny(seed=0):
    """A model with a convolution, BatchNorm and dropout."""
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.25),
        nn.Linear(24, 3),
    )


@pytest.fixture(scope="session")
def exported(made_once):
    """`tiny` as a bundle."""
    return made_once("tiny", lambda folder: export_classifier(tiny(), out=folder, **OPTIONS))

"""Every model of the zoo, by name: the first of each package first, so that a run that is stopped has seen all kinds.

>>> ENTRIES["torchvision resnet18"].input
'uint8:3x32x32'
"""

from itertools import zip_longest

from tests.zoo.entries import Entry
from tests.zoo.models import (
    attention,
    audio,
    biosignals,
    graphs,
    medical,
    pictures,
    recurrent,
    tables,
    timm_nets,
    torchvision_nets,
    transformers_other,
    transformers_text,
)

_LISTS: tuple[tuple[Entry, ...], ...] = (
    torchvision_nets.ENTRIES,
    transformers_text.ENTRIES,
    timm_nets.ENTRIES,
    tables.ENTRIES,
    transformers_other.ENTRIES,
    biosignals.ENTRIES,
    attention.ENTRIES,
    audio.ENTRIES,
    medical.ENTRIES,
    graphs.ENTRIES,
    recurrent.ENTRIES,
    pictures.ENTRIES,
)
_ALL = tuple(entry for turn in zip_longest(*_LISTS) for entry in turn if entry is not None)
ENTRIES = {f"{entry.package} {entry.name}": entry for entry in _ALL}
assert len(ENTRIES) == len(_ALL), "two models of one package have the same name"

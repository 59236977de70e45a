"""A net over 40 mel bands by 64 frames, with a linear head; more nets for sound are among those of transformers."""

from torch import nn

from tests.zoo.entries import Entry, Headed

_BANDS, _FRAMES = 40, 64


def _conformer() -> nn.Module:
    from conformer import Conformer

    return Headed(Conformer(dim=_BANDS, depth=2, dim_head=8, heads=2, conv_kernel_size=7, ff_dropout=0.1), _BANDS)


ENTRIES = (Entry("Conformer", "conformer", "audio", _conformer, f"float32:{_FRAMES}x{_BANDS}"),)

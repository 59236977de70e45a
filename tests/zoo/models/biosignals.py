"""braindecode's nets for EEG: one second of eight electrodes at 128 Hz, longer where a net needs it."""

from functools import partial
from typing import Any

from torch import nn

from tests.zoo.entries import CLASSES, Entry

_ELECTRODES, _RATE = 8, 128


def _named(name: str, samples: int, options: dict[str, Any]) -> nn.Module:
    from braindecode import models

    net: nn.Module = getattr(models, name)(
        n_chans=_ELECTRODES, n_outputs=CLASSES, n_times=samples, sfreq=_RATE, **options
    )
    return net


def _eeg(name: str, samples: int = _RATE, **options: Any) -> Entry:
    return Entry(
        name, "braindecode", "sensor", partial(_named, name, samples, options), f"float32:{_ELECTRODES}x{samples}"
    )


ENTRIES = (
    _eeg("EEGNet"),
    _eeg("ShallowFBCSPNet", 256),
    _eeg("EEGConformer", 256, num_layers=2, num_heads=2),
    _eeg("Deep4Net", 512),
    _eeg("EEGTCNet", 256),
    _eeg("ATCNet", 512, n_windows=2),
    _eeg("SleepStagerChambon2018", 384),
    _eeg("EEGInceptionERP"),
    _eeg("EEGNeX", 256),
    _eeg("TIDNet", 256),
    _eeg("EEGSimpleConv", 256),
    _eeg("SCCNet", 256),
    _eeg("EEGITNet", 256),
    _eeg("CTNet", 256),
)

"""How a device goes on with what version 0.1 kept: it named a sample by its row, and a picture by its path.

Such names hold for the data that they were made of alone. So they count while the fingerprint of an assignment that is
under way still matches, and that assignment ends as it began; what they say beyond it is translated then, or dropped.
"""

from dataclasses import replace

import numpy as np

from fedrela.edge.training import holdout
from fedrela.edge.training.examples import Examples, Overlay


def divided(loaded: Examples, fraction: float, secret: bytes, fingerprint: str) -> tuple[Examples, Examples]:
    """(to train on, held out): as version 0.1 divided them, where `fingerprint` is of its time and of these very data.

    `fingerprint` is of the assignment under way; "" where it has none yet.
    """
    training, held_out = holdout.split(loaded, fraction, secret)
    if fingerprint and fingerprint != training.fingerprint:
        held = np.zeros(len(loaded), bool)
        if fraction > 0:
            held = holdout.held_out(loaded.formerly().keys, fraction, secret)
        begun = replace(loaded.take(np.flatnonzero(~held)), formerly_begun=True)
        if begun.fingerprint == fingerprint:
            return begun, loaded.take(np.flatnonzero(held))
    return training, held_out


def carried_over(overlay: Overlay, examples: Examples) -> Overlay | None:
    """An overlay of version 0.1 by the keys of now; None where the data may be others than those it was made of."""
    if not examples.formerly_begun:
        return None
    return Overlay.of(examples, overlay.labels(examples.formerly()), generation=overlay.generation)

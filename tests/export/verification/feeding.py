"""Inputs of a bundle's training step for any batch, and what padding must not change."""

from dataclasses import replace

import numpy as np

from fedrela.core import bundle, golden


def inputs(manifest, batch):
    """Golden inputs of `batch` examples that all count."""
    resized = bundle.Golden("", "", 0, batch=batch)
    fed = golden.inputs(replace(manifest, golden=resized), "train_step", 0)
    return fed | {"sample_weight": np.ones(batch, np.float32)}


def padded(manifest, given, surplus):
    """`given` with `surplus` examples of noise and weight 0 at its end."""
    generator = np.random.default_rng(5)
    fed = {}
    for item in manifest.train_step.inputs:
        value = given[item.name]
        if "B" in item.shape:
            shape = (surplus, *value.shape[1:])
            extra = generator.integers(0, 256, shape) if item.role == "x" else generator.random(shape)
            extra = np.zeros(surplus) if item.role in ("weight", "y") else extra
            value = np.concatenate([value, extra.astype(value.dtype)])
        fed[item.name] = value
    return fed


def check_padding(manifest, step, batch, surplus):
    """No weight, statistic, optimizer state, loss or count moves by more than 1e-6 of its size."""
    given = inputs(manifest, batch)
    plain, filled = step(given), step(padded(manifest, given, surplus))
    for name, value in plain.items():
        assert np.abs(value - filled[name]).max() <= 1e-6 * max(1.0, np.abs(value).max()), name

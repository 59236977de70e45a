"""Tensors of indices of either type, read and written by, as torch does it."""

import numpy as np
import pytest
import torch

from fedrela.export.onnx_programs.forms import indexing
from tests.export.onnx_programs.form_runs import Array, close, run, uniform

X, VALUES = uniform(1, 5, 4), uniform(2, 3)
ROWS: Array = np.array([4, 0, 4])
COLUMNS: Array = np.array([1, 3, 1])  # the first and the last are one place


@pytest.mark.parametrize("dtype", [np.int32, np.int64])
def test_reading(dtype: type) -> None:
    rows: Array = ROWS.astype(dtype)
    columns: Array = COLUMNS.astype(dtype)
    (found,) = run(lambda x, i, j: indexing.index(x, [i, j]), [X, rows, columns])
    close(torch.from_numpy(X)[torch.from_numpy(rows), torch.from_numpy(columns)], found)
    (found,) = run(lambda x, i: indexing.index(x, [None, i]), [X, columns])
    close(torch.from_numpy(X)[:, torch.from_numpy(columns)], found)


@pytest.mark.parametrize("dtype", [np.int32, np.int64])
def test_adding_twice_to_one_place(dtype: type) -> None:
    rows: Array = ROWS.astype(dtype)
    columns: Array = COLUMNS.astype(dtype)
    (found,) = run(lambda x, i, j, v: indexing.index_put(x, [i, j], v, True), [X, rows, columns, VALUES])
    close(_put(rows, columns, accumulate=True), found)


def test_writing() -> None:
    rows, columns = ROWS[:2].astype(np.int32), COLUMNS[:2].astype(np.int32)
    (found,) = run(lambda x, i, j, v: indexing.index_put(x, [i, j], v), [X, rows, columns, VALUES[:2]])
    close(_put(rows, columns, accumulate=False), found)


def _put(rows: Array, columns: Array, *, accumulate: bool) -> torch.Tensor:
    at = (torch.from_numpy(rows), torch.from_numpy(columns))
    return torch.from_numpy(X).index_put(at, torch.from_numpy(VALUES[: len(rows)]), accumulate)

"""Programs that no client could run end as an error of ours; messages.json tries each rule, and here is the rest."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedrela.conformance import message_cases
from fedrela.core import strict
from fedrela.core.bundle import parse_manifest
from fedrela.core.errors import FedRelaError, InvalidBundle

GOOD = json.loads(strict.to_json(message_cases.manifest()))
LEAVES: st.SearchStrategy[Any] = st.sampled_from(
    [None, True, 0, -1, 1.5, 2**31, 2**53 - 1, "", "x", "B", "N", "../x", "é" * 300, [], [[]], {}, ["B"], [0], [1] * 20]
)


def paths(value: object, path: tuple = ()) -> list[tuple]:
    """Every place in a nested value."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(inner for key, item in items for inner in paths(item, (*path, key)))]


@given(st.sampled_from(paths(GOOD)[1:]), LEAVES)
def test_any_part_replaced_is_accepted_or_refused_by_an_error_of_ours(path: tuple, value: object) -> None:
    body = json.loads(json.dumps(GOOD))
    inner = body
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = value
    try:
        manifest = parse_manifest(json.dumps(body).encode())
    except FedRelaError:
        return
    assert all(spec.size > 0 for spec in manifest.weights)


def test_a_shape_whose_product_overflows_is_refused() -> None:
    body = json.loads(json.dumps(GOOD))
    body["train_step"]["inputs"][4]["shape"] = ["B", *[2**31 - 1] * 15]
    with pytest.raises(InvalidBundle, match="too large"):
        parse_manifest(json.dumps(body).encode())


def test_two_files_for_one_runtime_are_refused() -> None:
    body = json.loads(json.dumps(GOOD))
    body["predict"]["files"] *= 2
    with pytest.raises(InvalidBundle, match="two files"):
        parse_manifest(json.dumps(body).encode())

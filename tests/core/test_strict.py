"""Every way in which a document can differ from its dataclass is an error that names the place."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedrela.core import strict
from fedrela.core.errors import InvalidMessage
from fedrela.core.protocol.limits import Between


@dataclass(frozen=True)
class Leaf:
    size: int
    ratio: float = 0.5


@dataclass(frozen=True)
class Tree:
    name: str
    leaves: tuple[Leaf, ...] = ()
    kind: Literal["oak", "elm"] = "oak"
    extra: dict[str, float] = field(default_factory=dict)
    start: int | float = 1
    leaf: Leaf | None = None
    few: Annotated[int, Between(0, 9)] = 0


def test_builds_nested_values_and_fills_defaults():
    tree = strict.build(Tree, {"name": "a", "leaves": [{"size": 1}], "leaf": {"size": 2, "ratio": 1}}, InvalidMessage)
    assert tree == Tree("a", (Leaf(1),), leaf=Leaf(2, 1.0))
    assert isinstance(tree.leaf.ratio, float)


def test_a_whole_number_stays_whole_where_both_are_allowed():
    assert isinstance(strict.build(Tree, {"name": "a", "start": 3}, InvalidMessage).start, int)
    assert isinstance(strict.build(Tree, {"name": "a", "start": 0.5}, InvalidMessage).start, float)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ([], "the document is a list"),
        ({}, "'name' is missing"),
        ({"name": "a", "nmae": 1}, "unknown key 'nmae'"),
        ({"name": 1}, "name is an int"),
        ({"name": "a", "leaves": {}}, "leaves is a dict"),
        ({"name": "a", "leaves": [{"size": True}]}, r"leaves\[0\].size is a bool"),
        ({"name": "a", "leaves": [{"size": 1.0}]}, r"leaves\[0\].size is a float"),
        ({"name": "a", "leaves": [{"size": 1, "ratio": "x"}]}, "ratio is a str"),
        ({"name": "a", "leaves": [{"size": 1, "ratio": True}]}, "ratio is a bool"),
        ({"name": "a", "leaves": [{"size": 1, "ratio": 10**400}]}, "not finite"),
        ({"name": "a", "kind": "ash"}, "kind is 'ash'"),
        ({"name": "a", "kind": 1}, "kind is 1"),
        ({"name": "a", "extra": [1]}, "extra is a list"),
        ({"name": "a", "extra": {"x": "y"}}, "extra.x is a str"),
        ({"name": "a", "leaf": 3}, "leaf is an int"),
        ({"name": "a", "start": "soon"}, "start is a str"),
        ({"name": None}, "name is null"),
        ({"name": 1 << 19_999}, r"name is an int \('a number of 20000 bits'\)"),
        ({"name": [1 << 19_999]}, "name is a list .*too long to show"),
        ({"name": "a", "kind": -(1 << 19_999)}, "kind is a number of 20000 bits"),
        ({"name": "a", "leaf": {"size": 1, "ratio": 1 << 19_999}}, "ratio is not finite"),
        ({"name": "a", "extra": 1 << 19_999}, "extra is an int .*20000 bits"),
        ({"name": "a", "few": 1 << 19_999}, "few is a number of 20000 bits; use a number from 0 to 9"),
    ],
)
def test_faults_name_their_path(data, says):
    with pytest.raises(InvalidMessage, match=says):
        strict.build(Tree, data, InvalidMessage)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b'{"size": 1, "size": 2}', "same key twice"),
        (b'{"size": 1, "ratio": NaN}', "NaN"),
        (b'{"size": 1', "not JSON"),
        (b"\xff", "not JSON"),
        (b"[" * 100_000, "not JSON"),
    ],
)
def test_json_that_lies_is_refused(body, says):
    with pytest.raises(InvalidMessage, match=says):
        strict.from_json(Leaf, body)


@given(st.integers(-(2**53 - 1), 2**53 - 1), st.floats(allow_nan=False, allow_infinity=False))
def test_json_round_trip_and_canonical_bytes(size, ratio):
    leaf = Leaf(size, ratio)
    assert strict.from_json(Leaf, strict.to_json(leaf)) == leaf
    assert strict.to_json(leaf) == strict.to_json(strict.from_json(Leaf, strict.to_json(leaf)))


def test_canonical_json_is_sorted_and_tight():
    assert strict.to_json(Leaf(1)) == b'{"ratio":0.5,"size":1}'


@pytest.mark.parametrize(
    ("tree", "says"),
    [
        (Tree(1), "name is an int"),  # type: ignore[arg-type]
        (Tree("a", kind="ash"), "kind is 'ash'"),  # type: ignore[arg-type]
        (Tree("a", leaves=(Leaf(1), "leaf")), r"leaves\[1\] is a str"),  # type: ignore[arg-type]
        (Tree("a", extra={"x": float("nan")}), r"extra\.x is not finite"),
        (Tree("a", start=float("inf")), "start is not finite"),
        (Tree("a", leaf=3), "leaf is an int"),  # type: ignore[arg-type]
    ],
)
def test_what_was_made_in_python_is_checked_alike(tree, says):
    with pytest.raises(InvalidMessage, match=says):
        strict.check(tree, InvalidMessage)
    with pytest.raises(InvalidMessage, match=f"at.{says}"):
        strict.check(tree, InvalidMessage, "at")


@pytest.mark.parametrize("number", ["9" * 5000, "0x" + "f" * 5000, "-" + "9" * 5000, "[" + "9" * 5000 + "]"])
@pytest.mark.parametrize("key", ["name", "kind", "few", "leaf", "leaves", "extra", "unheard_of"])
def test_a_number_of_any_length_in_a_file_is_an_error_of_ours(number: str, key: str) -> None:
    with pytest.raises(InvalidMessage) as caught:
        strict.from_toml(Tree, f"{key} = {number}", InvalidMessage, "tree")
    assert len(str(caught.value)) < 300


def test_what_is_right_passes():
    strict.check(Tree("a", (Leaf(1, 2),), "elm", {"x": 1}, 3, Leaf(1)), InvalidMessage)

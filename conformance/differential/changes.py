"""What may be done to the plain values of a good body: one function each, which gives the changed tree.

A change that another one before it made impossible ends as one of `IMPOSSIBLE`, and the tree stays as it is.
"""

import marshal
from collections.abc import Callable
from random import Random
from typing import Any, get_args

from fedrela.conformance.differential import literals
from fedrela.conformance.differential.bodies import CLASSES, Good, goods
from fedrela.conformance.differential.edges import HEAVY, Path
from fedrela.conformance.differential.literals import literal
from fedrela.core.protocol.programs import Dtype, Role

IMPOSSIBLE = (KeyError, IndexError, TypeError, AttributeError, ValueError)
_DIMENSIONS: tuple[Any, ...] = (0, 1, -1, 2, 3, 2**31 - 1, 2**31, 2**40, 1.0, "B", "N", "b", "", "1", True, None, [])
_NAMES = ("", "a", "__proto__", "constructor", "toString", "later", "é", "\u0000", "Name", "turn", "x" * 600)
_PROGRAMS = ("train_step", "predict", "relabel")


def _get(tree: Any, path: Path) -> Any:
    for step in path:
        tree = tree[step]
    return tree


def _set(tree: Any, path: Path, value: Any) -> Any:
    """The tree with another value at a path; tables on the way are made."""
    if not path:
        return value
    inner = tree
    for step in path[:-1]:
        inner = inner.setdefault(step, {}) if isinstance(inner, dict) else inner[step]
    inner[path[-1]] = value
    return tree


def _limit(tree: Any, good: Good, draw: Random) -> Any:
    """A field at, just inside or just outside its limits."""
    path, values = draw.choice(good.around)
    value = draw.choice(values)
    if isinstance(value, dict | list) and len(value) > HEAVY and draw.random() > 0.01:
        raise KeyError(path)
    return _set(tree, path, marshal.loads(marshal.dumps(value)))


def _number(tree: Any, good: Good, draw: Random) -> Any:
    """A number as it is seldom written, where there was one."""
    return _set(tree, draw.choice(good.numbers), literal(draw.choice(literals.NUMBERS)))


def _odd(tree: Any, good: Good, draw: Random) -> Any:
    """A number or a text as no encoder writes it, anywhere: also where nobody looks."""
    value = literal(draw.choice(literals.NUMBERS if draw.random() < 0.5 else literals.TEXTS))
    if draw.random() < 0.3:
        return _set(tree, (*draw.choice(good.tables), "later"), value)
    return _set(tree, draw.choice(good.paths), value)


def _another_type(tree: Any, good: Good, draw: Random) -> Any:
    path = draw.choice(good.paths)
    value = _get(tree, path)
    others: tuple[Any, ...] = (
        None,
        True,
        False,
        0,
        1,
        1.5,
        "",
        "1",
        "true",
        [],
        {},
        [value],
        {"a": value},
        str(value)[:300],
        [[]],
    )
    return _set(tree, path, draw.choice(others))


def _remove(tree: Any, good: Good, draw: Random) -> Any:
    path = draw.choice(good.paths)
    del _get(tree, path[:-1])[path[-1]]
    return tree


def _unknown(tree: Any, good: Good, draw: Random) -> Any:
    """A member that nobody knows."""
    values: tuple[Any, ...] = (
        None,
        1,
        -1.5,
        "text",
        [1, [2]],
        {"a": {"b": []}},
        literal(draw.choice(literals.NUMBERS)),
    )
    return _set(tree, (*draw.choice(good.tables), draw.choice(_NAMES)), draw.choice(values))


def _rename(tree: Any, good: Good, draw: Random) -> Any:
    path = draw.choice(good.paths)
    table = _get(tree, path[:-1])
    name = str(path[-1])
    new = draw.choice((name.upper(), f"{name} ", f"{name}_", literal('"\\u' + f'{ord(name[0]):04x}{name[1:]}"')))
    table[new] = table.pop(name)
    return tree


def _twice(tree: Any, good: Good, draw: Random) -> Any:
    """A key a second time, perhaps written with an escape."""
    table = _get(tree, draw.choice(good.tables))
    name = draw.choice(list(table)) if table and draw.random() < 0.8 else "later"
    written = f'"{name}"' if draw.random() < 0.5 else f'"\\u{ord(name[0]):04x}{name[1:]}"'
    table[literal(written)] = draw.choice((1, None, table.get(name)))
    if name == "later" and draw.random() < 0.7:
        table["later"] = 0
    return tree


def _deep(tree: Any, good: Good, draw: Random) -> Any:
    """Arrays and objects within each other, in place of a value or beside it."""
    value = literal(literals.nested(draw))
    path = draw.choice(good.paths) if draw.random() < 0.3 else (*draw.choice(good.tables), "later")
    return _set(tree, path, value)


def _swap(tree: Any, good: Good, draw: Random) -> Any:
    """A part of another body, perhaps of another kind."""
    other = draw.choice(goods()[draw.choice(list(CLASSES))])
    part = _get(marshal.loads(other.dumped), draw.choice(other.paths))
    return _set(tree, draw.choice(good.paths), part)


def _items(tree: Any, good: Good, draw: Random) -> Any:
    """An item of a list twice, moved, or gone."""
    items = _get(tree, draw.choice(good.lists))
    at = draw.randrange(len(items))
    way = draw.randrange(4)
    if way == 0:
        items.insert(draw.randrange(len(items) + 1), marshal.loads(marshal.dumps(items[at])))
    elif way == 1:
        items.append(items.pop(at))
    elif way == 2:
        del items[at]
    else:
        draw.shuffle(items)
    return tree


def _order(tree: Any, good: Good, draw: Random) -> Any:
    """The members of an object in another order."""
    path = draw.choice(good.tables)
    pairs = list(_get(tree, path).items())
    draw.shuffle(pairs)
    return _set(tree, path, dict(pairs))


def _everywhere(tree: Any, good: Good, draw: Random) -> Any:
    """One value replaced wherever it stands, so that what must agree still does."""
    old = _get(tree, draw.choice(good.paths))
    if type(old) not in (int, str):
        raise TypeError(old)
    others = (*_DIMENSIONS, *_NAMES, 1_000_000, 1_000_001) if type(old) is int else ("q", "B", *_NAMES)
    new = draw.choice(others)
    if draw.random() < 0.5 and isinstance(old, int):
        new = old + draw.choice((-1, 1, 10))
    text = isinstance(old, str) and isinstance(new, str)
    pairs = {old: new} | ({f"new.{old}": f"new.{new}", f"anchor.{old}": f"anchor.{new}"} if text else {})

    def replaced(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: replaced(item) for key, item in value.items()}
        if isinstance(value, list):
            return [replaced(item) for item in value]
        return pairs.get(value, value) if type(value) is type(old) else value

    return replaced(tree)


def _input(tree: Any, good: Good, draw: Random) -> Any:
    """A program's input of another shape, dtype, role or name; a new one, or one less, with its output."""
    program = tree[draw.choice(_PROGRAMS)]
    inputs, outputs = program["inputs"], program["outputs"]
    item = draw.choice(inputs)
    way = draw.randrange(7)
    if way == 0:
        shape = item["shape"]
        shape[draw.randrange(len(shape)) :] = draw.choices(_DIMENSIONS, k=draw.randrange(3))
    elif way == 1:
        item["dtype"] = draw.choice((*get_args(Dtype)[1].pattern.split("|"), "float64", "uint16", "FLOAT32", "", None))
    elif way == 2:
        item["role"] = draw.choice(get_args(Role))
    elif way == 3:
        inputs.remove(item)
        outputs[:] = [name for name in outputs if name != f"new.{item['name']}"]
    elif way == 4:
        item["name"] = draw.choice((*_NAMES, "w", "anchor.w", "x", "é" * 500, "😀" * 500, "😀" * 501))
    elif way == 5:
        name = draw.choice(("other", "anchor.w", "anchor.running", "B"))
        inputs.insert(draw.randrange(len(inputs) + 1), {**item, "name": name, "role": draw.choice(get_args(Role))})
    else:
        draw.shuffle(inputs)
        carried = [f"new.{other['name']}" for other in inputs if f"new.{other['name']}" in outputs]
        outputs[: len(carried)] = carried
    return tree


CHANGES: tuple[Callable[[Any, Good, Random], Any], ...] = (
    *(_limit, _number, _odd, _another_type, _remove, _unknown, _rename, _twice, _deep),
    *(_swap, _items, _order, _everywhere, _input),
)
WEIGHTS = (40, 8, 8, 8, 6, 10, 4, 4, 6, 6, 5, 4, 6, 14)

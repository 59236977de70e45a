"""`programs.json`: ONNX files that every client must refuse before its runtime sees them, and files that it must take.

They are built here byte by byte: no library writes what a hostile program holds. With them come the lists that the
rules go by: operators with their attributes, and the limits.

    >>> {case["valid"] for case in build()["cases"]}
    {False, True}
"""

import base64
from collections.abc import Iterator
from typing import Any

from fedrela.conformance.protobuf import delimited as d
from fedrela.conformance.protobuf import fixed32 as f32
from fedrela.conformance.protobuf import varint as v
from fedrela.core.errors import InvalidBundle
from fedrela.core.onnx_files import rules
from fedrela.core.onnx_files.operators import ATTRIBUTES, OPSETS

FLOAT, INT64, STRING, COMPLEX = 1, 7, 8, 14
_AXIS = d(1, b"axis") + v(3, 0) + v(20, 2)


def tensor(name: str, kind: int, dims: tuple[int, ...], data: bytes, *more: bytes) -> bytes:
    """A TensorProto with raw data."""
    return b"".join([*(v(1, size) for size in dims), v(2, kind), d(8, name.encode()), d(9, data), *more])


def node(
    operator: str, inputs: tuple[str, ...], outputs: tuple[str, ...], *attributes: bytes, domain: str = ""
) -> bytes:
    """A NodeProto."""
    parts = [d(1, name.encode()) for name in inputs] + [d(2, name.encode()) for name in outputs]
    parts += [d(4, operator.encode()), *(d(5, attribute) for attribute in attributes)]
    return b"".join([*parts, d(7, domain.encode()) if domain else b""])


def graph(*nodes: bytes, initializers: tuple[bytes, ...] = (), inputs: tuple[str, ...] = ("x",)) -> bytes:
    """A GraphProto."""
    parts = [d(1, one) for one in nodes] + [d(2, b"g")] + [d(5, one) for one in initializers]
    return b"".join([*parts, *(d(11, d(1, name.encode())) for name in inputs), d(12, d(1, b"y"))])


def model(body: bytes, *more: bytes, version: int = 18, domain: bytes = b"") -> bytes:
    """A ModelProto."""
    opset = (d(1, domain) if domain else b"") + v(2, version)
    return b"".join([v(1, 8), d(2, b"fedrela"), d(7, body), d(8, opset), *more])


W = tensor("w", FLOAT, (2,), bytes(8))
ADD = node("Add", ("x", "w"), ("y",))
IDENTITY = node("Identity", ("x",), ("y",))


def branch(*nodes: bytes, initializers: tuple[bytes, ...] = ()) -> bytes:
    """The graph of a branch or a body."""
    return graph(*(nodes or (IDENTITY,)), initializers=initializers, inputs=())


def condition(then: bytes) -> bytes:
    """An If with `then` on one side."""
    sides = (("then_branch", then), ("else_branch", branch()))
    return node("If", ("x",), ("y",), *(d(1, name.encode()) + d(6, body) + v(20, 5) for name, body in sides))


def loop(bound: str, body: bytes) -> bytes:
    """A Loop."""
    return node("Loop", (bound, "", "x"), ("y",), d(1, b"body") + d(6, body) + v(20, 5))


def number(name: str, value: int) -> bytes:
    """A whole number as an initializer."""
    return tensor(name, INT64, (), (value % 2**64).to_bytes(8, "little"))


def with_tensor(*parts: bytes) -> bytes:
    """A model with these bytes as an initializer."""
    return model(graph(ADD, initializers=(b"".join(parts),)))


def nested(depth: int) -> bytes:
    """Graphs within graphs, so deep."""
    body = branch()
    for _ in range(depth - 2):
        body = branch(condition(body))
    return model(graph(condition(body)))


def _good() -> Iterator[tuple[str, bytes]]:
    yield "an operator", model(graph(ADD, initializers=(W,)))
    yield "the newest set of operators", model(graph(ADD, initializers=(W,)), version=OPSETS[-1])
    yield "an attribute", model(graph(node("Concat", ("x",), ("y",), _AXIS)))
    yield "an attribute's numbers packed", model(graph(node("ReduceSum", ("x",), ("y",), d(1, b"keepdims") + v(3, 1))))
    yield "a constant in an operator", model(graph(node("Constant", (), ("y",), d(1, b"value") + d(5, W) + v(20, 4))))
    yield "branches", model(graph(condition(branch(ADD, initializers=(W,)))))
    yield "graphs within graphs", nested(rules.MOST_DEPTH)
    yield "a bounded loop", model(graph(loop("n", branch()), initializers=(number("n", 5),)))
    constant = node("Constant", (), ("n",), d(1, b"value_int") + v(3, 7) + v(20, 2))
    yield "a loop bounded by an operator", model(graph(constant, loop("n", branch())))
    inner = branch(loop("n", branch()))
    yield "a loop in a loop", model(graph(loop("n", inner), initializers=(number("n", 300),)))
    yield (
        "a bound from the graph around",
        model(graph(condition(branch(loop("n", branch()))), initializers=(number("n", 9),))),
    )
    packed = d(1, b"\x02\x03") + v(2, FLOAT) + d(8, b"w") + d(9, bytes(24))
    yield "dimensions packed", with_tensor(packed)
    yield "numbers as fields", with_tensor(v(1, 1), v(2, FLOAT), d(8, b"w"), f32(4))
    yield "a tensor without elements", with_tensor(tensor("w", FLOAT, (0, 3), b""))
    yield (
        "types of values, whatever they say",
        model(graph(ADD, initializers=(W,)) + d(13, d(1, b"x") + d(2, b"\x0a\x00"))),
    )


def _reaching_out() -> Iterator[tuple[str, bytes]]:
    location = d(13, d(1, b"location") + d(2, b".ssh/id_ed25519"))
    yield "data of another file", with_tensor(v(1, 2), v(2, FLOAT), d(8, b"w"), location, v(14, 1))
    yield "data said to be elsewhere", with_tensor(W, v(14, 1))
    elsewhere = v(1, 2) + v(2, FLOAT) + location + v(14, 1)
    value = d(1, b"value") + d(5, elsewhere)
    yield "data of another file in an operator", model(graph(node("Constant", (), ("y",), value)))
    yield "data of another file in a branch", model(graph(condition(branch(ADD, initializers=(elsewhere,)))))
    yield (
        "data of another file in a list",
        model(graph(node("Constant", (), ("y",), d(1, b"value") + d(10, elsewhere)))),
    )
    yield "a sparse tensor", model(graph(ADD, initializers=(W,)) + d(15, d(1, W)))
    yield "a sparse tensor in an operator", model(graph(node("Constant", (), ("y",), d(1, b"value") + d(22, d(1, W)))))
    yield "a function", model(graph(ADD, initializers=(W,)), d(25, d(1, b"f")))
    yield "training information", model(graph(ADD, initializers=(W,)), d(20, b""))
    yield "a field that nobody knows", model(graph(ADD, initializers=(W,)), d(4000, b"x"))
    yield "a reference to a function's attribute", model(graph(node("Concat", ("x",), ("y",), _AXIS + d(21, b"axis"))))
    yield "a known field in another form", model(graph(ADD, initializers=(W,)) + v(5, 1))


def _foreign() -> Iterator[tuple[str, bytes]]:
    yield "a foreign operator", model(graph(node("RandomNormalLike", ("x",), ("y",))))
    yield "an operator of nobody's", model(graph(node("", ("x",), ("y",))))
    yield "an operator of another domain", model(graph(node("Add", ("x", "x"), ("y",), domain="com.microsoft")))
    yield "a foreign attribute", model(graph(node("Add", ("x", "x"), ("y",), _AXIS)))
    yield "an attribute without a name", model(graph(node("Concat", ("x",), ("y",), v(3, 0))))
    yield "a constant of texts", model(graph(node("Constant", (), ("y",), d(1, b"value_string") + d(4, b"x"))))
    yield "operators of another domain", model(graph(IDENTITY), domain=b"ai.onnx.ml")
    yield "two sets of operators", model(graph(IDENTITY), d(8, v(2, 18)))
    yield "no set of operators", v(1, 8) + d(7, graph(IDENTITY))
    yield "an older set of operators", model(graph(IDENTITY), version=OPSETS[0] - 1)
    yield "a newer set of operators", model(graph(IDENTITY), version=OPSETS[-1] + 1)
    yield "texts as data", with_tensor(v(1, 1), v(2, STRING), d(8, b"w"), d(6, b"x"))
    yield "a tensor of texts", with_tensor(v(1, 0), v(2, STRING), d(8, b"w"))
    yield "a tensor of complex numbers", with_tensor(tensor("w", COMPLEX, (1,), bytes(8)))
    yield "a tensor of no type", with_tensor(v(1, 1), d(8, b"w"), d(9, bytes(4)))
    yield "a name that is no text", model(graph(node("Add", ("x", "x"), ("y",), domain="")) + d(1, d(4, b"\xff\xfe")))


def _endless() -> Iterator[tuple[str, bytes]]:
    def of(bound: str, *initializers: bytes, inputs: tuple[str, ...] = ("x",)) -> bytes:
        return model(graph(loop(bound, branch()), initializers=initializers, inputs=inputs))

    yield "a loop without a bound", of("", number("n", 5))
    yield "a loop bounded by what is fed", of("x", number("n", 5))
    yield "a loop bounded by a constant that is fed", of("n", number("n", 5), inputs=("x", "n"))
    yield "a loop of too many passes", of("n", number("n", rules.MOST_PASSES + 1))
    yield "a loop of a negative number of passes", of("n", number("n", -1))
    yield "a loop with two bounds of one name", of("n", number("n", 5), number("n", 10**12))
    both = number("n", 5) + v(7, 10**12)
    yield "a loop whose bound is written twice", of("n", both)
    yield "a loop bounded by a real number", of("n", tensor("n", FLOAT, (2,), bytes(8)))
    inner = branch(loop("n", branch()))
    yield "loops whose passes multiply", model(graph(loop("n", inner), initializers=(number("n", 1000),)))


def _large() -> Iterator[tuple[str, bytes]]:
    yield "a dimension that is too large", with_tensor(v(1, 2**31), v(2, FLOAT), d(8, b"w"))
    yield "a dimension of 64 bits", with_tensor(v(1, 2**64 - 1), v(2, FLOAT), d(8, b"w"))
    yield "a product of dimensions that overflows", with_tensor(*[v(1, 2**31 - 1)] * 3, v(2, FLOAT), d(8, b"w"))
    yield "seventeen dimensions", with_tensor(tensor("w", FLOAT, (1,) * 17, bytes(4)))
    yield "seventeen dimensions packed", with_tensor(d(1, b"\x01" * 17), v(2, FLOAT), d(8, b"w"), d(9, bytes(4)))
    yield "fewer bytes than the shape says", with_tensor(tensor("w", FLOAT, (1000,), bytes(8)))
    yield "more bytes than the shape says", with_tensor(tensor("w", FLOAT, (1,), bytes(8)))
    yield "graphs within graphs without end", nested(rules.MOST_DEPTH + 1)


def _broken() -> Iterator[tuple[str, bytes]]:
    whole = model(graph(ADD, initializers=(W,)))
    yield "nothing", b""
    yield "a text", b"not a model"
    yield "cut in a number", whole + b"\x08\xff"
    yield "cut in a field", whole[:-3]
    yield "a number without end", whole + b"\x08" + b"\xff" * 11
    yield "a length beyond the file", d(7, b"")[:-1] + b"\xff\xff\xff\xff\xff\xff\xff\xff\x7f"
    yield "a group, which no protobuf of today has", whole + b"\x0b\x0c"
    yield "two graphs", whole + d(7, graph(IDENTITY))
    yield "no graph", v(1, 8) + d(8, v(2, 18))
    yield "a number in place of the graph", v(7, 1) + d(8, v(2, 18))


def build() -> dict[str, Any]:
    """The document programs.json."""
    refused = (*_reaching_out(), *_foreign(), *_endless(), *_large(), *_broken())
    return {
        "opsets": [OPSETS[0], OPSETS[-1]],
        "limits": {
            "operators": rules.MOST_OPERATORS,
            "fields": rules.MOST_FIELDS,
            "graphs_within_graphs": rules.MOST_DEPTH,
            "passes": rules.MOST_PASSES,
        },
        "operators": {operator: sorted(ATTRIBUTES[operator]) for operator in sorted(ATTRIBUTES)},
        "cases": [
            _case(name, body, valid) for valid, named in ((True, _good()), (False, refused)) for name, body in named
        ],
    }


def _case(name: str, body: bytes, valid: bool) -> dict[str, Any]:
    """A case, once Python's own rules agree."""
    try:
        rules.check(body, "p")
        admitted = True
    except InvalidBundle:
        admitted = False
    assert admitted == valid, name
    return {"name": name, "valid": valid, "base64": base64.b64encode(body).decode()}

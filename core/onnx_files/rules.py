"""What an ONNX file may hold, looked at before any runtime reads it: nothing that reaches out of the file.

A signature says who made a program, not what it does. A tensor of a model may be said to lie in *another* file, and a
runtime reads that file: a program could name its owner's keys as a weight and carry them away in the update. So a
device parses first and refuses external data, functions, foreign operators and attributes, endless loops and every
field that the exporter doesn't write (`fedrela.core.onnx_files.format`).

    >>> check(b"", "predict")
    Traceback (most recent call last):
    ...
    fedrela.core.errors.InvalidBundle: program predict holds 0 graphs; export the model again
"""

from collections import ChainMap
from collections.abc import Iterator
from itertools import islice

from fedrela.core.errors import InvalidBundle
from fedrela.core.onnx_files import format as form
from fedrela.core.onnx_files.fields import DELIMITED, fields, text, varint, varints, wire_type
from fedrela.core.onnx_files.format import ATTRIBUTE, GRAPH, ITEM_BYTES, MODEL, NODE, OPSET, TENSOR, Part
from fedrela.core.onnx_files.operators import ATTRIBUTES, OPSETS
from fedrela.core.tensors import LARGEST_DIMENSION, MOST_DIMENSIONS, MOST_ELEMENTS

MOST_OPERATORS = 50_000
MOST_FIELDS = 250_000  # of all messages in it, some read twice
MOST_DEPTH = 8  # of graphs within graphs
MOST_PASSES = 100_000  # of one loop, those of the loops around it multiplied in

Constants = ChainMap[str, int | None]  # whole numbers that are constants, by name, for the bounds of loops


def check(program: bytes, name: str) -> None:
    """Raise InvalidBundle, naming what was found, unless `program` is an ONNX model that any device may load."""
    try:
        _Rules(name).model(memoryview(program))
    except UnicodeDecodeError as error:
        raise InvalidBundle(f"program {name} holds a name that is no text", remedy="export the model again") from error


class _Rules:
    """One program under inspection; operators and fields are counted over all of its graphs."""

    def __init__(self, name: str) -> None:
        self._name, self._operators, self._fields_seen = name, 0, 0

    def model(self, body: memoryview) -> None:
        graph = self._only(body, "graph", "graphs")
        opset = self._only(body, "opset_import", "sets of operators")
        domain, version = "", 0
        for field, raw, content in self._fields(opset, OPSET):
            domain = text(content) if field == "domain" else domain
            version = varint(raw) if field == "version" else version
        self._require(domain == "" and version in OPSETS, f"operators of {domain[:40]!r}, version {version}")
        self._graph(graph, ChainMap(), depth=1, passes=1)

    def _only(self, model: memoryview, name: str, several: str) -> memoryview:
        """The field of a model's that there must be once."""
        contents = list(islice(self._contents(model, MODEL, name), 2))
        self._require(len(contents) == 1, f"{len(contents)} {several}")
        return contents[0]

    def _graph(self, body: memoryview, outer: Constants, depth: int, passes: int) -> None:
        """`passes`: how often the loops around run this graph, at most."""
        self._require(depth <= MOST_DEPTH, "graphs within graphs without end")
        constants = outer.new_child()
        names = {text(name) for value in self._contents(body, GRAPH, "input") for name in self._names(value)}
        constants.update(dict.fromkeys(names))  # what is fed, in place of a constant too, is none
        for tensor in self._contents(body, GRAPH, "initializer"):
            name, value = self._tensor(tensor)
            constants[name] = None if name in names else value
            names.add(name)
        for node in self._contents(body, GRAPH, "node"):
            self._node(node, constants, depth, passes)

    def _node(self, body: memoryview, constants: Constants, depth: int, passes: int) -> None:
        self._operators += 1
        self._require(self._operators <= MOST_OPERATORS, f"more than {MOST_OPERATORS} operators")
        domain = operator = ""
        inputs: list[memoryview] = []
        for field, _, content in self._fields(body, NODE):
            domain = text(content) if field == "domain" else domain
            operator = text(content) if field == "op_type" else operator
            if field == "input" and not inputs:
                inputs.append(content)
        of_domain = f"{domain[:40]}:" if domain else ""
        self._require(not domain and operator in ATTRIBUTES, f"the operator {of_domain}{operator[:40]}")
        if operator == "Loop":
            bound = constants.get(text(inputs[0])) if inputs else None
            self._require(bound is not None, "a loop without a bound")
            passes *= bound or 0
            self._require(passes <= MOST_PASSES, "a loop without a bound that is low enough")
        for attribute in self._contents(body, NODE, "attribute"):
            value = self._attribute(attribute, operator, constants, depth, passes)
            if operator == "Constant":
                constants.update({text(name): value for name in self._contents(body, NODE, "output")})

    def _attribute(self, body: memoryview, operator: str, constants: Constants, depth: int, passes: int) -> int | None:
        """Check what hangs on an operator; its whole number, if it is one."""
        value, name = None, ""
        for field, raw, content in self._fields(body, ATTRIBUTE):
            if field == "name":
                name = text(content)
            elif field in ("t", "tensors"):
                value = self._tensor(content)[1]
            elif field in ("g", "graphs"):
                self._graph(content, constants, depth + 1, passes)
            elif field == "i":
                value = varint(raw)
        self._require(name in ATTRIBUTES[operator], f"the attribute {name[:40]!r} of the operator {operator}")
        return value

    def _tensor(self, body: memoryview) -> tuple[str, int | None]:
        """Check a tensor; its name, and its value if it is a single whole number of 64 bits."""
        name, kind, values = "", 0, []
        shape: list[int] = []
        raw_bytes: int | None = None
        for field, raw, content in self._fields(body, TENSOR):
            if field == "name":
                name = text(content)
            elif field == "data_type":
                kind = varint(raw)
            elif field == "dims":
                shape += _numbers(raw, content)
                self._require(len(shape) <= MOST_DIMENSIONS, "a tensor of too many dimensions")
            elif field == "raw_data":
                raw_bytes = len(content)
                values.append(int.from_bytes(content, "little") if len(content) == 8 else None)
            elif field == "int64_data":
                values += _numbers(raw, content)
        elements = self._elements(shape)
        self._require(kind in ITEM_BYTES, "a tensor of an unknown type")
        fits = raw_bytes is None or raw_bytes == elements * ITEM_BYTES[kind]
        self._require(fits, "a tensor whose bytes are not as many as its shape says")
        # Of two values runtimes take one or the other.
        return name, values[0] if kind == form.INT64 and len(values) == 1 else None

    def _elements(self, shape: list[int]) -> int:
        elements = 1
        for dimension in shape:
            self._require(dimension <= LARGEST_DIMENSION, "a tensor that is too large")
            elements *= dimension
        self._require(elements <= MOST_ELEMENTS, "a tensor that is too large")
        return elements

    def _contents(self, body: memoryview, part: Part, name: str) -> Iterator[memoryview]:
        """What the fields of one name hold. None is kept: a file may have any number."""
        return (content for field, _, content in self._fields(body, part) if field == name)

    def _names(self, value: memoryview) -> Iterator[memoryview]:
        """The names in a ValueInfoProto; the types that it says nobody needs."""
        return (content for number, raw, content in self._counted(value) if number == 1 and wire_type(raw) == DELIMITED)

    def _counted(self, body: memoryview) -> Iterator[tuple[int, memoryview, memoryview]]:
        for field in fields(body):
            self._fields_seen += 1
            if self._fields_seen > MOST_FIELDS:
                raise self._fault("more fields than any program needs")
            yield field

    def _fields(self, body: memoryview, part: Part) -> Iterator[tuple[str, memoryview, memoryview]]:
        whose = f"of {'an' if part.name[0] in 'aeiou' else 'a'} {part.name}"
        for number, raw, content in self._counted(body):
            name, wires = part.fields.get(number, ("", ()))
            if not name:
                raise self._fault(f"the field {number} {whose}")
            if wire_type(raw) not in wires:
                raise self._fault(f"the field {name} {whose} in another form")
            yield name, raw, content

    def _require(self, condition: bool, found: str) -> None:
        if not condition:
            raise self._fault(found)

    def _fault(self, found: str) -> InvalidBundle:
        return InvalidBundle(f"program {self._name} holds {found}", remedy="export the model again")


def _numbers(raw: memoryview, content: memoryview) -> list[int]:
    """The numbers in a field, packed or not; where they are more than a tensor has dimensions, the first ones."""
    if wire_type(raw) != DELIMITED:
        return [varint(raw)]
    numbers = varints(content)
    return [number for _, number in zip(range(MOST_DIMENSIONS + 1), numbers, strict=False)]

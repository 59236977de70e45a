"""What an ONNX file may hold, looked at before any runtime reads it: nothing that reaches out of the file.

A signature says who made a program, not what it does. A tensor of a model may be said to lie in *another* file, and a
runtime reads that file: a program could name its owner's keys as a weight and carry them away in the update. So a
device parses first and refuses external data, functions, foreign operators, endless loops and every field that the
exporter doesn't write.

    >>> check(b"", "predict")
    Traceback (most recent call last):
    ...
    fedrela.core.errors.InvalidBundle: program predict holds 0 graphs; export the model again
"""

from collections.abc import Iterator, Mapping

from fedrela.core.errors import InvalidBundle
from fedrela.core.onnx_files.fields import fields, varint
from fedrela.core.onnx_files.operators import OPERATORS, OPSETS

MOST_NODES = 100_000
MOST_DEPTH = 8  # of graphs within graphs
MOST_PASSES = 100_000  # of one loop

# Fields of onnx.proto by number; one that isn't named here is refused.
_MODEL = {1: "ir_version", 2: "producer_name", 3: "producer_version", 4: "domain", 5: "model_version", 6: "doc_string"}
_MODEL |= {7: "graph", 8: "opset_import", 14: "metadata_props"}
_OPSET = {1: "domain", 2: "version"}
_GRAPH = {1: "node", 2: "name", 5: "initializer", 10: "doc_string", 11: "input", 12: "output", 13: "value_info"}
_NODE = {1: "input", 2: "output", 3: "name", 4: "op_type", 5: "attribute", 6: "doc_string", 7: "domain"}
_ATTRIBUTE = {1: "name", 2: "f", 3: "i", 4: "s", 5: "t", 6: "g", 7: "floats", 8: "ints", 9: "strings", 10: "tensors"}
_ATTRIBUTE |= {11: "graphs", 13: "doc_string", 20: "type"}
_TENSOR = {1: "dims", 2: "data_type", 4: "float_data", 5: "int32_data", 7: "int64_data", 8: "name", 9: "raw_data"}
_TENSOR |= {10: "double_data", 11: "uint64_data", 12: "doc_string"}

Field = tuple[str, bytes, bytes]  # its name, all its bytes, the content if it is length-delimited


def check(program: bytes, name: str) -> None:
    """Raise InvalidBundle, naming what was found, unless `program` is an ONNX model that any device may load."""
    try:
        _Rules(name).model(program)
    except UnicodeDecodeError as error:
        raise InvalidBundle(f"program {name} holds a name that is no text", remedy="export the model again") from error


class _Rules:
    """One program under inspection; `nodes` are counted over all of its graphs."""

    def __init__(self, name: str) -> None:
        self._name, self._nodes = name, 0

    def model(self, body: bytes) -> None:
        parts = list(self._fields(body, _MODEL, "model"))
        graphs = [content for field, _, content in parts if field == "graph"]
        self._require(len(graphs) == 1, f"{len(graphs)} graphs")
        opsets = [content for field, _, content in parts if field == "opset_import"]
        self._require(len(opsets) == 1, f"{len(opsets)} sets of operators")
        opset = {field: (raw, content) for field, raw, content in self._fields(opsets[0], _OPSET, "opset")}
        domain, version = opset.get("domain", (b"", b""))[1], varint(opset.get("version", (b"\0\0", b""))[0])
        self._require(domain == b"" and version in OPSETS, f"operators of {domain.decode()!r}, version {version}")
        self._graph(graphs[0], {}, 1)

    def _graph(self, body: bytes, outer: Mapping[str, int | None], depth: int) -> None:
        """`outer`: whole numbers that are constants of the graphs around, by name, for the bounds of loops."""
        self._require(depth <= MOST_DEPTH, "graphs within graphs without end")
        parts = list(self._fields(body, _GRAPH, "graph"))
        constants, names = dict(outer), self._inputs(parts)
        constants |= dict.fromkeys(names)  # what is fed, in place of a constant too, is none
        for field, _, content in parts:
            if field == "initializer":
                name, value = self._tensor(content)
                own = name not in names
                constants[name] = value if own else None
                names.add(name)
        for field, _, content in parts:
            if field == "node":
                self._node(content, constants, depth)

    def _inputs(self, parts: list[Field]) -> set[str]:
        """The names of a graph's inputs."""
        inputs = (content for field, _, content in parts if field == "input")
        return {name.decode() for body in inputs for number, _, name in fields(body) if number == 1}

    def _node(self, body: bytes, constants: dict[str, int | None], depth: int) -> None:
        self._nodes += 1
        self._require(self._nodes <= MOST_NODES, f"more than {MOST_NODES} operators")
        parts = list(self._fields(body, _NODE, "operator"))
        texts = {field: content.decode() for field, _, content in parts if field in ("op_type", "domain")}
        operator = texts.get("op_type", "")
        known = operator in OPERATORS and texts.get("domain", "") == ""
        self._require(known, f"the operator {texts.get('domain', '')[:40]}{':' * ('domain' in texts)}{operator[:40]}")
        inputs = [content.decode() for field, _, content in parts if field == "input"]
        if operator == "Loop":
            passes = constants.get(inputs[0]) if inputs else None
            self._require(passes is not None and passes <= MOST_PASSES, "a loop without a bound")
        for field, _, content in parts:
            if field == "attribute":
                value = self._attribute(content, constants, depth)
                if operator == "Constant":
                    constants |= {name.decode(): value for part, _, name in parts if part == "output"}

    def _attribute(self, body: bytes, constants: Mapping[str, int | None], depth: int) -> int | None:
        """Check what hangs on an operator; its whole number, if it is one."""
        value = None
        for field, raw, content in self._fields(body, _ATTRIBUTE, "attribute"):
            if field in ("t", "tensors"):
                value = self._tensor(content)[1]
            elif field in ("g", "graphs"):
                self._graph(content, constants, depth + 1)
            elif field == "i":
                value = varint(raw)
        return value

    def _tensor(self, body: bytes) -> tuple[str, int | None]:
        """Check a tensor; its name, and its value if it is a single whole number of 64 bits."""
        name, kind, values = "", 0, []
        for field, raw, content in self._fields(body, _TENSOR, "tensor"):
            if field == "name":
                name = content.decode()
            elif field == "data_type":
                kind = varint(raw)
            elif field == "raw_data":
                values.append(int.from_bytes(content, "little") if len(content) == 8 else None)
            elif field == "int64_data":
                values.append(varint(raw) if not content else varint(b"\0" + content))
        # Of two values runtimes take one or the other.
        return name, values[0] if kind == _INT64 and len(values) == 1 else None

    def _fields(self, body: bytes, known: Mapping[int, str], where: str) -> Iterator[Field]:
        for number, raw, content in fields(body):
            self._require(number in known, f"the field {number} of a{'n' * (where[0] in 'aeiou')} {where}")
            yield known[number], raw, content

    def _require(self, condition: bool, found: str) -> None:
        if not condition:
            raise InvalidBundle(f"program {self._name} holds {found}", remedy="export the model again")


_INT64 = 7  # TensorProto.DataType

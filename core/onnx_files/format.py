"""The part of onnx.proto that a program may use: the fields by number, each with the wire types that it may have.

What isn't here is refused: external data, functions, sparse tensors, texts as data, references to attributes of
functions.

    >>> MODEL.fields[7]
    ('graph', (2,))
"""

from collections.abc import Mapping
from dataclasses import dataclass

from fedrela.core.onnx_files.fields import DELIMITED, FIXED32, FIXED64, VARINT

_TEXT = _MESSAGE = _BYTES = (DELIMITED,)
_WHOLE, _WHOLES = (VARINT,), (VARINT, DELIMITED)
_REAL, _REALS, _DOUBLES = (FIXED32,), (FIXED32, DELIMITED), (FIXED64, DELIMITED)


@dataclass(frozen=True)
class Part:
    """A message of onnx.proto: what an error calls it, and its fields."""

    name: str
    fields: Mapping[int, tuple[str, tuple[int, ...]]]


MODEL = Part(
    "model",
    {
        1: ("ir_version", _WHOLE),
        2: ("producer_name", _TEXT),
        3: ("producer_version", _TEXT),
        4: ("domain", _TEXT),
        5: ("model_version", _WHOLE),
        6: ("doc_string", _TEXT),
        7: ("graph", _MESSAGE),
        8: ("opset_import", _MESSAGE),
        14: ("metadata_props", _MESSAGE),
    },
)
OPSET = Part("opset", {1: ("domain", _TEXT), 2: ("version", _WHOLE)})
GRAPH = Part(
    "graph",
    {
        1: ("node", _MESSAGE),
        2: ("name", _TEXT),
        5: ("initializer", _MESSAGE),
        10: ("doc_string", _TEXT),
        11: ("input", _MESSAGE),
        12: ("output", _MESSAGE),
        13: ("value_info", _MESSAGE),
    },
)
NODE = Part(
    "operator",
    {
        1: ("input", _TEXT),
        2: ("output", _TEXT),
        3: ("name", _TEXT),
        4: ("op_type", _TEXT),
        5: ("attribute", _MESSAGE),
        6: ("doc_string", _TEXT),
        7: ("domain", _TEXT),
    },
)
ATTRIBUTE = Part(
    "attribute",
    {
        1: ("name", _TEXT),
        2: ("f", _REAL),
        3: ("i", _WHOLE),
        4: ("s", _BYTES),
        5: ("t", _MESSAGE),
        6: ("g", _MESSAGE),
        7: ("floats", _REALS),
        8: ("ints", _WHOLES),
        9: ("strings", _BYTES),
        10: ("tensors", _MESSAGE),
        11: ("graphs", _MESSAGE),
        13: ("doc_string", _TEXT),
        20: ("type", _WHOLE),
    },
)
TENSOR = Part(
    "tensor",
    {
        1: ("dims", _WHOLES),
        2: ("data_type", _WHOLE),
        4: ("float_data", _REALS),
        5: ("int32_data", _WHOLES),
        7: ("int64_data", _WHOLES),
        8: ("name", _TEXT),
        9: ("raw_data", _BYTES),
        10: ("double_data", _DOUBLES),
        11: ("uint64_data", _WHOLES),
        12: ("doc_string", _TEXT),
    },
)

# TensorProto.DataType -> bytes of an element: float32, (u)int8, (u)int16, int32, int64, bool, float16, float64, uint32,
# uint64, bfloat16. No texts, no complex numbers, nothing below a byte.
ITEM_BYTES: Mapping[int, int] = {1: 4, 2: 1, 3: 1, 4: 2, 5: 2, 6: 4, 7: 8, 9: 1, 10: 2, 11: 8, 12: 4, 13: 8, 16: 2}
INT64 = 7

package org.fedrela.core.onnx

/**
 * A message of onnx.proto, as far as a program may use it: what an error calls it, and its fields by number, each with
 * the wire types that it may have. What isn't here is refused.
 */
internal class Part(val name: String, val fields: Map<Long, Pair<String, List<Int>>>)

private val message = listOf(DELIMITED)
private val whole = listOf(VARINT)
private val wholes = listOf(VARINT, DELIMITED)
private val real = listOf(FIXED32)
private val reals = listOf(FIXED32, DELIMITED)
private val doubles = listOf(FIXED64, DELIMITED)

internal val MODEL = Part(
    "model",
    mapOf(
        1L to ("ir_version" to whole),
        2L to ("producer_name" to message),
        3L to ("producer_version" to message),
        4L to ("domain" to message),
        5L to ("model_version" to whole),
        6L to ("doc_string" to message),
        7L to ("graph" to message),
        8L to ("opset_import" to message),
        14L to ("metadata_props" to message),
    ),
)
internal val OPSET = Part("opset", mapOf(1L to ("domain" to message), 2L to ("version" to whole)))
internal val GRAPH = Part(
    "graph",
    mapOf(
        1L to ("node" to message),
        2L to ("name" to message),
        5L to ("initializer" to message),
        10L to ("doc_string" to message),
        11L to ("input" to message),
        12L to ("output" to message),
        13L to ("value_info" to message),
    ),
)
internal val NODE = Part(
    "operator",
    mapOf(
        1L to ("input" to message),
        2L to ("output" to message),
        3L to ("name" to message),
        4L to ("op_type" to message),
        5L to ("attribute" to message),
        6L to ("doc_string" to message),
        7L to ("domain" to message),
    ),
)
internal val ATTRIBUTE = Part(
    "attribute",
    mapOf(
        1L to ("name" to message),
        2L to ("f" to real),
        3L to ("i" to whole),
        4L to ("s" to message),
        5L to ("t" to message),
        6L to ("g" to message),
        7L to ("floats" to reals),
        8L to ("ints" to wholes),
        9L to ("strings" to message),
        10L to ("tensors" to message),
        11L to ("graphs" to message),
        13L to ("doc_string" to message),
        20L to ("type" to whole),
    ),
)
internal val TENSOR = Part(
    "tensor",
    mapOf(
        1L to ("dims" to wholes),
        2L to ("data_type" to whole),
        4L to ("float_data" to reals),
        5L to ("int32_data" to wholes),
        7L to ("int64_data" to wholes),
        8L to ("name" to message),
        9L to ("raw_data" to message),
        10L to ("double_data" to doubles),
        11L to ("uint64_data" to wholes),
        12L to ("doc_string" to message),
    ),
)

/** TensorProto.DataType -> bytes of an element. No texts, no complex numbers, nothing below a byte. */
internal val ITEM_BYTES: Map<Long, Int> = mapOf(
    1L to 4,
    2L to 1,
    3L to 1,
    4L to 2,
    5L to 2,
    6L to 4,
    7L to 8,
    9L to 1,
    10L to 2,
    11L to 8,
    12L to 4,
    13L to 8,
    16L to 2,
)
internal const val INT64_TYPE = 7L

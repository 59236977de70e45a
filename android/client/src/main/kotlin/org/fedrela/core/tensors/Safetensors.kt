package org.fedrela.core.tensors

import org.fedrela.core.InvalidInput
import org.fedrela.core.json.Json
import org.fedrela.core.json.json
import org.fedrela.core.json.parseJson
import org.fedrela.core.json.writeJson
import java.nio.ByteBuffer
import java.nio.ByteOrder

/** A file of tensors: what weights, updates, overlays and golden outputs are. */
public class TensorFile(public val tensors: Tensors, public val metadata: Map<String, String>)

private const val LENGTH_BYTES = 8
private const val METADATA = "__metadata__"

/** One tensor's description in a header: where its data begin and end. */
private class Entry(val name: String, val dtype: Dtype, val shape: List<Int>, val from: Long, val to: Long)

/** Parse safetensors bytes. Throws [InvalidInput] if they are truncated, overlong or malformed. */
public fun readTensors(body: ByteArray): TensorFile {
    if (body.size < LENGTH_BYTES) throw malformed("it is too short")
    val length = ByteBuffer.wrap(body).order(ByteOrder.LITTLE_ENDIAN).getLong(0)
    if (length < 0 || length > body.size - LENGTH_BYTES) throw malformed("its header is cut")
    val start = LENGTH_BYTES + length.toInt()
    val header = (parseJson(body.copyOfRange(LENGTH_BYTES, start), unsigned = true) as? Json.Members)?.values
        ?: throw malformed("its header is not a table")
    val entries = header.filterKeys { it != METADATA }.map { (name, value) -> entry(name, value) }
    checkPlaces(entries, (body.size - start).toLong())
    val tensors = entries.associate { it.name to tensor(it, body, start) }
    return TensorFile(tensors, metadata(header[METADATA] ?: Json.Null))
}

/** Parse and check; the result is in the order of `specs`. Throws [InvalidInput]. */
public fun readTensors(body: ByteArray, specs: List<TensorSpec>): Tensors {
    val tensors = readTensors(body).tensors
    checkTensors(tensors, specs)
    return specs.associate { it.name to tensors.getValue(it.name) }
}

/** Serialize: metadata first with sorted keys, then tensors by dtype and by name. */
public fun writeTensors(tensors: Tensors, metadata: Map<String, String> = emptyMap()): ByteArray {
    val ordered = tensors.entries.sortedWith(compareBy({ it.value.dtype }, { it.key }))
    val header = LinkedHashMap<String, Json>()
    if (metadata.isNotEmpty()) header[METADATA] = Json.Members(metadata.toSortedMap().mapValues { json(it.value) })
    var end = 0L
    for ((name, tensor) in ordered) {
        val from = end
        end += tensor.size.toLong() * tensor.dtype.bytes
        header[name] = json(
            "dtype" to json(tensor.dtype.code),
            "shape" to json(tensor.shape.map { json(it.toLong()) }),
            "data_offsets" to json(listOf(json(from), json(end))),
        )
    }
    val text = writeJson(Json.Members(header))
    val padded = (text.size + LENGTH_BYTES - 1) / LENGTH_BYTES * LENGTH_BYTES
    if (end > Int.MAX_VALUE - LENGTH_BYTES - padded)
        throw InvalidInput("the tensors are too large", "train a smaller model")
    val out = ByteBuffer.allocate(LENGTH_BYTES + padded + end.toInt()).order(ByteOrder.LITTLE_ENDIAN)
    out.putLong(padded.toLong()).put(text)
    repeat(padded - text.size) { out.put(' '.code.toByte()) }
    for ((_, tensor) in ordered) putValues(tensor, out)
    return out.array()
}

private fun checkPlaces(entries: List<Entry>, bytes: Long) {
    var expected = 0L
    for (entry in entries.sortedWith(compareBy({ it.from }, { it.to }))) {
        val size = entry.shape.fold(1L) { product, dimension -> product * dimension } * entry.dtype.bytes
        if (entry.from != expected || entry.to - entry.from != size)
            throw malformed("tensor '${entry.name}' lies elsewhere")
        expected = entry.to
        if (expected > bytes) throw malformed("the data are cut")
    }
    if (expected != bytes) throw malformed("something follows the data")
}

private fun entry(name: String, value: Json): Entry {
    val members = (value as? Json.Members)?.values
    if (members == null || members.size != 3) throw malformed("tensor '$name' has no description of three members")
    val code = (members["dtype"] as? Json.Text)?.value
    val dtype =
        Dtype.entries.find { it.code == code } ?: throw malformed("tensor '$name' has a dtype that never travels")
    val shape = naturals(members["shape"])
    if (shape.size > MOST_DIMENSIONS || shape.any { it > LARGEST_DIMENSION } || exceedsMostElements(shape))
        throw malformed("tensor '$name' is too large")
    val offsets = naturals(members["data_offsets"])
    if (offsets.size != 2 || offsets[0] > offsets[1]) throw malformed("tensor '$name' has wrong offsets")
    return Entry(name, dtype, shape.map { it.toInt() }, offsets[0], offsets[1])
}

/** Whether the dimensions have too large a product; those of 0 don't make a large tensor a small one. */
internal fun exceedsMostElements(shape: List<Long>): Boolean {
    var product = 1L
    for (dimension in shape) if (dimension > 0) {
        if (product > MOST_ELEMENTS / dimension) return true
        product *= dimension
    }
    return false
}

private fun naturals(value: Json?): List<Long> {
    val items = (value as? Json.Items)?.values ?: throw malformed("a list of numbers is missing")
    return items.map { (it as? Json.Whole)?.value?.takeIf { number -> number >= 0 }
        ?: throw malformed("a number is out of range") }
}

private fun metadata(value: Json): Map<String, String> {
    if (value is Json.Null) return emptyMap()
    val members = (value as? Json.Members)?.values ?: throw malformed("its metadata are no table")
    return members.mapValues { (it.value as? Json.Text)?.value ?: throw malformed("its metadata are not texts") }
}

private fun tensor(entry: Entry, body: ByteArray, start: Int): Tensor {
    val size = (entry.to - entry.from).toInt()
    val bytes = ByteBuffer.wrap(body, start + entry.from.toInt(), size).slice().order(ByteOrder.LITTLE_ENDIAN)
    return tensorOf(entry.dtype, entry.shape, bytes)
}

/** A tensor of the little-endian bytes that remain in a buffer. */
public fun tensorOf(dtype: Dtype, shape: List<Int>, bytes: ByteBuffer): Tensor {
    val size = bytes.remaining() / dtype.bytes
    return when (dtype) {
        Dtype.FLOAT32 -> FloatTensor(shape, FloatArray(size).also { bytes.asFloatBuffer().get(it) })
        Dtype.INT64 -> LongTensor(shape, LongArray(size).also { bytes.asLongBuffer().get(it) })
        Dtype.INT32 -> IntTensor(shape, IntArray(size).also { bytes.asIntBuffer().get(it) })
        Dtype.FLOAT16 -> HalfTensor(shape, ShortArray(size).also { bytes.asShortBuffer().get(it) })
        Dtype.INT8, Dtype.UINT8, Dtype.BOOL -> ByteTensor(dtype, shape, ByteArray(size).also { bytes.get(it) })
    }
}

/** Writes a tensor's values, in the buffer's byte order. */
public fun putValues(tensor: Tensor, out: ByteBuffer) {
    when (tensor) {
        is FloatTensor -> tensor.values.forEach { out.putFloat(it) }
        is LongTensor -> tensor.values.forEach { out.putLong(it) }
        is IntTensor -> tensor.values.forEach { out.putInt(it) }
        is HalfTensor -> tensor.bits.forEach { out.putShort(it) }
        is ByteTensor -> out.put(tensor.values)
    }
}

private fun malformed(what: String) =
    InvalidInput("the bytes are not a well-formed safetensors file ($what)", "fetch the file again, whole")

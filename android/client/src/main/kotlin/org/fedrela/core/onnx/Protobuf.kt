package org.fedrela.core.onnx

import org.fedrela.core.InvalidInput

// Reads a protobuf message field by field: what is needed of an ONNX file. Nothing is copied.

internal const val VARINT = 0 // wire types
internal const val FIXED64 = 1
internal const val DELIMITED = 2
internal const val FIXED32 = 5

private const val MOST_BITS = 64

/** A part of an array. */
internal class Bytes(val array: ByteArray, val from: Int, val to: Int) {
    val size: Int get() = to - from
}

/** One field. `number`: of a varint, 64 bits whatever their sign; `content`: of what has a length. */
internal class Field(val tag: Long, val wire: Int, val number: Long, val content: Bytes)

/** Every field of a message. Throws [InvalidInput] for what is none. */
internal fun eachField(message: Bytes, use: (Field) -> Unit) {
    val reader = ProtobufReader(message)
    while (reader.hasMore) use(reader.field())
}

/** The numbers of a packed field, until `use` says that these are enough. */
internal fun eachVarint(content: Bytes, use: (Long) -> Boolean) {
    val reader = ProtobufReader(content)
    while (reader.hasMore && use(reader.varint())) Unit
}

private class ProtobufReader(private val message: Bytes) {
    private val nothing = Bytes(message.array, message.to, message.to)
    private var at = message.from

    val hasMore: Boolean get() = at < message.to

    fun field(): Field {
        val key = varint()
        val (tag, wire) = (key ushr 3) to (key and 7).toInt()
        return when (wire) {
            VARINT -> Field(tag, wire, varint(), nothing)
            DELIMITED -> Field(tag, wire, 0, content())
            FIXED64 -> Field(tag, wire, 0, nothing).also { skip(8) }
            FIXED32 -> Field(tag, wire, 0, nothing).also { skip(4) }
            else -> throw InvalidInput("the program is not an ONNX file", "tell the operator to export the model again")
        }
    }

    fun varint(): Long {
        var value = 0L
        var shift = 0
        while (at < message.to && shift < MOST_BITS) {
            val byte = message.array[at].toInt()
            at += 1
            value = value or ((byte and 0x7f).toLong() shl shift)
            if (byte >= 0) return value
            shift += 7
        }
        throw cut()
    }

    private fun content(): Bytes {
        val length = varint()
        if (length < 0 || length > message.to - at) throw cut()
        return Bytes(message.array, at, at + length.toInt()).also { at = it.to }
    }

    private fun skip(bytes: Int) {
        if (message.to - at < bytes) throw cut()
        at += bytes
    }

    private fun cut() = InvalidInput("the program's file is cut short", "fetch it again")
}

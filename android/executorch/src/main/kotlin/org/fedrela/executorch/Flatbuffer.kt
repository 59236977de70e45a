package org.fedrela.executorch

import org.fedrela.core.InvalidInput
import org.fedrela.core.json.decodeUtf8
import java.nio.ByteBuffer
import java.nio.ByteOrder

// Reads a flatbuffer table by table, within its bounds: what is needed of a .pte file. A table begins with the distance
// back to its vtable, which holds for each field where in the table it lies, or 0. Texts, vectors and tables within a
// table are distances from where they are named. https://flatbuffers.dev/internals

private const val UNSIGNED = 0xffff_ffffL

/** Where the items of a vector begin, and how many there are. */
internal class FlatVector(val start: Long, val count: Long)

/** A table in a buffer. Fields go by their number in the schema; one that isn't there is 0, "" or empty. */
internal class FlatTable(private val body: ByteBuffer, private val at: Long) {
    /** A number of one byte, from 0. */
    fun byte(field: Int): Int = place(field)?.let { u8(it) } ?: 0

    fun int(field: Int): Int = place(field)?.let { i32(it) } ?: 0

    fun long(field: Int): Long = place(field)?.let { i64(it) } ?: 0L

    fun text(field: Int): String {
        val vector = vector(field, 1)
        return decodeUtf8(ByteArray(vector.count.toInt()) { u8(vector.start + it).toByte() })
    }

    /** A vector whose items have a size; all of it lies in the buffer. */
    fun vector(field: Int, itemBytes: Int): FlatVector {
        val place = place(field) ?: return FlatVector(0, 0)
        val start = follow(place)
        val count = i32(start).toLong() and UNSIGNED
        if (start + 4 + count * itemBytes > body.limit()) throw malformed()
        return FlatVector(start + 4, count)
    }

    fun ints(field: Int): IntArray {
        val vector = vector(field, Int.SIZE_BYTES)
        return IntArray(vector.count.toInt()) { i32(vector.start + Int.SIZE_BYTES * it) }
    }

    fun longs(field: Int): LongArray {
        val vector = vector(field, Long.SIZE_BYTES)
        return LongArray(vector.count.toInt()) { i64(vector.start + Long.SIZE_BYTES * it) }
    }

    fun table(field: Int): FlatTable? = place(field)?.let { FlatTable(body, follow(it)) }

    fun tables(field: Int): List<FlatTable> {
        val vector = vector(field, Int.SIZE_BYTES)
        return List(vector.count.toInt()) { FlatTable(body, follow(vector.start + Int.SIZE_BYTES * it)) }
    }

    /** Where the field lies; null if it isn't there. */
    private fun place(field: Int): Long? {
        val vtable = at - i32(at)
        if (4 + 2 * field + 2 > u16(vtable)) return null
        val offset = u16(vtable + 4 + 2 * field)
        return if (offset == 0) null else at + offset
    }

    private fun follow(place: Long): Long = place + (i32(place).toLong() and UNSIGNED)

    private fun u8(place: Long): Int = body.get(within(place, 1)).toInt() and 0xff

    private fun u16(place: Long): Int = body.getShort(within(place, 2)).toInt() and 0xffff

    private fun i32(place: Long): Int = body.getInt(within(place, 4))

    private fun i64(place: Long): Long = body.getLong(within(place, 8))

    private fun within(place: Long, bytes: Int): Int {
        if (place < 0 || place + bytes > body.limit()) throw malformed()
        return place.toInt()
    }
}

/** The outermost table. Throws [InvalidInput]. */
internal fun flatRoot(body: ByteArray): FlatTable {
    if (body.size < 8) throw malformed()
    val buffer = ByteBuffer.wrap(body).order(ByteOrder.LITTLE_ENDIAN)
    return FlatTable(buffer, buffer.getInt(0).toLong() and UNSIGNED)
}

private fun malformed() = InvalidInput("the program is not a .pte file", "tell the operator to export the model again")

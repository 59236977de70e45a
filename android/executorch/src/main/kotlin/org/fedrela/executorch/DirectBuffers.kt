package org.fedrela.executorch

import java.nio.ByteBuffer
import java.nio.ByteOrder
import java.nio.FloatBuffer
import java.nio.LongBuffer

/**
 * The inputs of a program as native code reads them: direct, in the machine's byte order, of exactly their size. Each
 * place keeps its memory from call to call for as long as the size stays, since direct memory that is given up is freed
 * late.
 */
internal class DirectBuffers {
    private val kept = HashMap<Int, ByteBuffer>()

    fun floats(at: Int, values: FloatArray): FloatBuffer {
        val buffer = room(at, Float.SIZE_BYTES, values.size).asFloatBuffer()
        buffer.put(values)
        buffer.rewind()
        return buffer
    }

    fun longs(at: Int, values: LongArray): LongBuffer {
        val buffer = room(at, Long.SIZE_BYTES, values.size).asLongBuffer()
        buffer.put(values)
        buffer.rewind()
        return buffer
    }

    fun bytes(at: Int, values: ByteArray): ByteBuffer {
        val buffer = room(at, Byte.SIZE_BYTES, values.size)
        buffer.put(values)
        buffer.rewind()
        return buffer
    }

    private fun room(at: Int, elementBytes: Int, count: Int): ByteBuffer {
        val bytes = Math.multiplyExact(elementBytes, count)
        kept[at]?.takeIf { it.capacity() == bytes }?.let {
            it.rewind()
            return it
        }
        return ByteBuffer.allocateDirect(bytes).order(ByteOrder.nativeOrder()).also { kept[at] = it }
    }
}

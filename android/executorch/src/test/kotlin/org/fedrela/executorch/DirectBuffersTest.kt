package org.fedrela.executorch

import org.junit.jupiter.api.Assertions.assertArrayEquals
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import java.nio.ByteOrder

/** Native code reads a buffer from its beginning, and believes its capacity. */
class DirectBuffersTest {
    private val buffers = DirectBuffers()

    @Test
    fun `each kind is direct, native and exact`() {
        val floats = buffers.floats(0, floatArrayOf(1f, -2f, 3f))
        val longs = buffers.longs(1, longArrayOf(Long.MIN_VALUE, 5))
        val bytes = buffers.bytes(2, byteArrayOf(-1, 0, 127, 4, 5))
        assertEquals(listOf(3, 2, 5), listOf(floats.capacity(), longs.capacity(), bytes.capacity()))
        assertEquals(listOf(3, 2, 5), listOf(floats.remaining(), longs.remaining(), bytes.remaining()))
        assertTrue(floats.isDirect && longs.isDirect && bytes.isDirect)
        assertEquals(List(3) { ByteOrder.nativeOrder() }, listOf(floats.order(), longs.order(), bytes.order()))
        assertArrayEquals(floatArrayOf(1f, -2f, 3f), FloatArray(3).also { floats.get(it) })
        assertArrayEquals(longArrayOf(Long.MIN_VALUE, 5), LongArray(2).also { longs.get(it) })
        assertArrayEquals(byteArrayOf(-1, 0, 127, 4, 5), ByteArray(5).also { bytes.get(it) })
    }

    @Test
    fun `a scalar is one element, and nothing is none`() {
        assertEquals(1, buffers.floats(0, floatArrayOf(7f)).capacity())
        assertEquals(0, buffers.floats(1, FloatArray(0)).capacity())
    }

    @Test
    fun `memory stays while the size does, and is each place's own`() {
        val first = buffers.floats(0, floatArrayOf(1f, 2f))
        val other = buffers.floats(1, floatArrayOf(8f, 9f))
        buffers.floats(0, floatArrayOf(3f, 4f))
        assertEquals(3f, first.get(0))
        assertEquals(8f, other.get(0))
        assertEquals(3, buffers.floats(0, floatArrayOf(5f, 6f, 7f)).capacity())
        assertEquals(3f, first.get(0))
    }
}

package org.fedrela.onnx

import ai.onnxruntime.OnnxTensor
import ai.onnxruntime.OrtEnvironment
import org.fedrela.core.tensors.ByteTensor
import org.fedrela.core.tensors.Dtype
import org.fedrela.core.tensors.FloatTensor
import org.fedrela.core.tensors.HalfTensor
import org.fedrela.core.tensors.IntTensor
import org.fedrela.core.tensors.LongTensor
import org.fedrela.core.tensors.Tensor
import org.fedrela.core.tensors.Tensors
import java.nio.ByteBuffer
import java.nio.ByteOrder

/**
 * Tensors that change with every step, each in memory of its own which the runtime reads and writes where it lies: kept
 * for as long as its shape stays.
 */
internal class Slots(private val environment: OrtEnvironment) : AutoCloseable {
    private val slots = LinkedHashMap<String, Slot>()

    /** The tensors by name; the map stays, and what is in it may change with a [put]. */
    val byName = LinkedHashMap<String, OnnxTensor>()

    fun put(tensors: Tensors) {
        for ((name, tensor) in tensors) {
            val known = slots[name]
            val slot = if (known != null && known.fits(tensor)) known else replaced(name, tensor)
            slot.put(tensor)
        }
    }

    /** The first element of a float32 tensor. */
    fun float(name: String): Float = slots.getValue(name).room.getFloat(0)

    override fun close() = byName.values.forEach { it.close() }

    private fun replaced(name: String, tensor: Tensor): Slot {
        slots.remove(name)?.let { byName.getValue(name).close() }
        val slot = Slot(environment, tensor)
        slots[name] = slot
        byName[name] = slot.native
        return slot
    }
}

private class Slot(environment: OrtEnvironment, tensor: Tensor) {
    private val dtype: Dtype = tensor.dtype
    private val shape: List<Int> = tensor.shape
    val room: ByteBuffer =
        ByteBuffer.allocateDirect(Math.multiplyExact(dtype.bytes, tensor.size)).order(ByteOrder.nativeOrder())
    val native: OnnxTensor = over(environment, room, tensor)

    fun fits(tensor: Tensor): Boolean = tensor.dtype == dtype && tensor.shape == shape

    fun put(tensor: Tensor) {
        room.clear()
        when (tensor) {
            is FloatTensor -> room.asFloatBuffer().put(tensor.values)
            is LongTensor -> room.asLongBuffer().put(tensor.values)
            is IntTensor -> room.asIntBuffer().put(tensor.values)
            is HalfTensor -> room.asShortBuffer().put(tensor.bits)
            is ByteTensor -> room.put(tensor.values)
        }
        room.clear()
    }
}

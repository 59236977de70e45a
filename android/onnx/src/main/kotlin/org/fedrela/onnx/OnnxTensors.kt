package org.fedrela.onnx

import ai.onnxruntime.OnnxJavaType
import ai.onnxruntime.OnnxTensor
import ai.onnxruntime.OrtEnvironment
import ai.onnxruntime.OrtException
import org.fedrela.core.ProgramFailed
import org.fedrela.core.tensors.ByteTensor
import org.fedrela.core.tensors.Dtype
import org.fedrela.core.tensors.FloatTensor
import org.fedrela.core.tensors.HalfTensor
import org.fedrela.core.tensors.IntTensor
import org.fedrela.core.tensors.LongTensor
import org.fedrela.core.tensors.Tensor
import java.nio.ByteBuffer
import java.nio.FloatBuffer
import java.nio.IntBuffer
import java.nio.LongBuffer
import java.nio.ShortBuffer

/** A tensor in the runtime's memory: a copy, to be closed. */
internal fun native(environment: OrtEnvironment, tensor: Tensor): OnnxTensor {
    val shape = shapeOf(tensor)
    return when (tensor) {
        is FloatTensor -> OnnxTensor.createTensor(environment, FloatBuffer.wrap(tensor.values), shape)
        is LongTensor -> OnnxTensor.createTensor(environment, LongBuffer.wrap(tensor.values), shape)
        is IntTensor -> OnnxTensor.createTensor(environment, IntBuffer.wrap(tensor.values), shape)
        is HalfTensor ->
            OnnxTensor.createTensor(environment, ShortBuffer.wrap(tensor.bits), shape, OnnxJavaType.FLOAT16)
        is ByteTensor ->
            OnnxTensor.createTensor(environment, ByteBuffer.wrap(tensor.values), shape, byteType(tensor.dtype))
    }
}

/** A tensor like `tensor` over direct memory, which isn't copied and must live as long; to be closed. */
internal fun over(environment: OrtEnvironment, room: ByteBuffer, tensor: Tensor): OnnxTensor {
    val shape = shapeOf(tensor)
    return when (tensor) {
        is FloatTensor -> OnnxTensor.createTensor(environment, room.asFloatBuffer(), shape)
        is LongTensor -> OnnxTensor.createTensor(environment, room.asLongBuffer(), shape)
        is IntTensor -> OnnxTensor.createTensor(environment, room.asIntBuffer(), shape)
        is HalfTensor -> OnnxTensor.createTensor(environment, room.asShortBuffer(), shape, OnnxJavaType.FLOAT16)
        is ByteTensor -> OnnxTensor.createTensor(environment, room, shape, byteType(tensor.dtype))
    }
}

private fun shapeOf(tensor: Tensor) = LongArray(tensor.shape.size) { tensor.shape[it].toLong() }

private fun byteType(dtype: Dtype): OnnxJavaType = when (dtype) {
    Dtype.UINT8 -> OnnxJavaType.UINT8
    Dtype.BOOL -> OnnxJavaType.BOOL
    else -> OnnxJavaType.INT8
}

/** A copy of what lies in the runtime's memory. */
internal fun copied(tensor: OnnxTensor): Tensor {
    val shape = tensor.info.shape.map { it.toInt() }
    return when (tensor.info.type) {
        OnnxJavaType.FLOAT -> FloatTensor(shape, tensor.floatBuffer.let { FloatArray(it.remaining()).also(it::get) })
        OnnxJavaType.INT64 -> LongTensor(shape, tensor.longBuffer.let { LongArray(it.remaining()).also(it::get) })
        OnnxJavaType.INT32 -> IntTensor(shape, tensor.intBuffer.let { IntArray(it.remaining()).also(it::get) })
        else -> throw ProgramFailed("a program gives a tensor of another type", "export the model again")
    }
}

/** Tensors copied into the runtime's memory, all or none. */
internal class NativeTensors(environment: OrtEnvironment, tensors: Map<String, Tensor>) : AutoCloseable {
    val byName: Map<String, OnnxTensor>

    init {
        val made = LinkedHashMap<String, OnnxTensor>()
        try {
            for ((name, tensor) in tensors) made[name] = native(environment, tensor)
        } catch (fault: OrtException) {
            made.values.forEach { it.close() }
            throw fault
        }
        byName = made
    }

    override fun close() = byName.values.forEach { it.close() }
}

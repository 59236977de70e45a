package org.pytorch.executorch

import org.fedrela.core.tensors.ByteTensor
import org.fedrela.core.tensors.Dtype
import org.fedrela.core.tensors.FloatTensor
import org.fedrela.core.tensors.LongTensor
import org.fedrela.executorch.PteModule
import org.fedrela.executorch.desktop
import java.io.File
import java.nio.Buffer
import java.nio.ByteBuffer
import java.nio.ByteOrder
import java.nio.FloatBuffer
import java.nio.LongBuffer
import org.fedrela.core.tensors.Tensor as CoreTensor

// In place of executorch-android, in Kotlin as its newer versions are: it refuses the buffers that its sources say they
// refuse, gives outputs in memory that the next call overwrites, and runs programs on Python's runtime.

enum class DType { UINT8, INT8, INT16, INT32, INT64, HALF, FLOAT, DOUBLE }

open class Module(private val inside: PteModule) {
    private val planned = HashMap<Int, Any>()

    open fun forward(vararg inputs: EValue): Array<EValue> =
        inside.forward(inputs.map { it.toTensor().read() })
            .mapIndexed { at, output -> EValue.from(output(at, output)) }.toTypedArray()

    open fun destroy() = inside.close()

    private fun output(at: Int, tensor: CoreTensor): Tensor {
        val shape = LongArray(tensor.shape.size) { tensor.shape[it].toLong() }
        return when (tensor) {
            is FloatTensor -> {
                val memory = planned.getOrPut(at) { FloatArray(tensor.size) } as FloatArray
                FloatOutput(shape, tensor.values.copyInto(memory))
            }
            is LongTensor -> {
                val memory = planned.getOrPut(at) { LongArray(tensor.size) } as LongArray
                LongOutput(shape, tensor.values.copyInto(memory))
            }
            else -> Input(shape, DType.INT8, ByteBuffer.allocateDirect(tensor.size)) { tensor }
        }
    }

    companion object {
        const val LOAD_MODE_FILE = 0

        @JvmStatic
        @JvmOverloads
        fun load(modelPath: String?, loadMode: Int = LOAD_MODE_FILE, numThreads: Int = 0): Module {
            require(loadMode == LOAD_MODE_FILE && numThreads > 0)
            return Module(desktop().load(File(modelPath!!)))
        }
    }
}

class EValue private constructor(private val tensor: Tensor) {
    fun toTensor(): Tensor = tensor

    companion object {
        @JvmStatic
        fun from(tensor: Tensor): EValue = EValue(tensor)
    }
}

abstract class Tensor(private val shape: LongArray) {
    fun shape(): LongArray = shape.copyOf()

    abstract fun dtype(): DType

    open val dataAsFloatArray: FloatArray get() = error("no float array")
    open val dataAsLongArray: LongArray get() = error("no long array")

    internal abstract fun read(): CoreTensor

    companion object {
        @JvmStatic
        fun fromBlob(data: FloatBuffer, shape: LongArray): Tensor {
            check(data, data.isDirect, data.order(), shape)
            return Input(shape, DType.FLOAT, data) { sizes ->
                FloatTensor(sizes, FloatArray(data.capacity()) { data.get(it) })
            }
        }

        @JvmStatic
        fun fromBlob(data: LongBuffer, shape: LongArray): Tensor {
            check(data, data.isDirect, data.order(), shape)
            return Input(shape, DType.INT64, data) { sizes ->
                LongTensor(sizes, LongArray(data.capacity()) { data.get(it) })
            }
        }

        @JvmStatic
        fun fromBlobUnsigned(data: ByteBuffer, shape: LongArray): Tensor {
            check(data, data.isDirect, data.order(), shape)
            return Input(shape, DType.UINT8, data) { sizes ->
                ByteTensor(Dtype.UINT8, sizes, ByteArray(data.capacity()) { data.get(it) })
            }
        }

        private fun check(data: Buffer, isDirect: Boolean, order: ByteOrder, shape: LongArray) {
            require(data.capacity().toLong() == shape.fold(1L) { product, size -> product * size })
            require(isDirect && order == ByteOrder.nativeOrder())
        }
    }
}

private class Input(
    shape: LongArray,
    private val dtype: DType,
    @Suppress("unused") private val data: Buffer,
    private val values: (List<Int>) -> CoreTensor,
) : Tensor(shape) {
    override fun dtype() = dtype

    override fun read() = values(shape().map { it.toInt() })
}

private class FloatOutput(shape: LongArray, override val dataAsFloatArray: FloatArray) : Tensor(shape) {
    override fun dtype() = DType.FLOAT

    override fun read() = error("an output")
}

private class LongOutput(shape: LongArray, override val dataAsLongArray: LongArray) : Tensor(shape) {
    override fun dtype() = DType.INT64

    override fun read() = error("an output")
}

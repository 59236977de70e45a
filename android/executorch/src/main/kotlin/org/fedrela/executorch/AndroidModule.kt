package org.fedrela.executorch

import org.fedrela.core.ProgramFailed
import org.fedrela.core.tensors.ByteTensor
import org.fedrela.core.tensors.Dtype
import org.fedrela.core.tensors.FloatTensor
import org.fedrela.core.tensors.LongTensor
import org.fedrela.core.tensors.Tensor
import org.pytorch.executorch.DType
import org.pytorch.executorch.EValue
import org.pytorch.executorch.Module
import java.io.File
import org.pytorch.executorch.Tensor as NativeTensor

/** A program on ExecuTorch's library for Android. Never run by us on a phone: what it calls is declared beside it. */
internal class AndroidModule(private val module: Module) : PteModule {
    private val buffers = DirectBuffers()

    override fun forward(inputs: List<Tensor>): List<Tensor> {
        val values = Array(inputs.size) { EValue.from(native(it, inputs[it])) }
        return module.forward(*values).map { copied(it.toTensor()) }
    }

    override fun close() = module.destroy()

    private fun native(at: Int, tensor: Tensor): NativeTensor {
        val shape = LongArray(tensor.shape.size) { tensor.shape[it].toLong() }
        return when {
            tensor is FloatTensor -> NativeTensor.fromBlob(buffers.floats(at, tensor.values), shape)
            tensor is LongTensor -> NativeTensor.fromBlob(buffers.longs(at, tensor.values), shape)
            tensor is ByteTensor && tensor.dtype == Dtype.UINT8 ->
                NativeTensor.fromBlobUnsigned(buffers.bytes(at, tensor.values), shape)
            else -> throw otherType("takes")
        }
    }

    /** Copied before the next call: the values lie in memory that the program uses again. */
    private fun copied(tensor: NativeTensor): Tensor {
        val shape = tensor.shape().map { it.toInt() }
        return when (tensor.dtype()) {
            DType.FLOAT -> FloatTensor(shape, tensor.dataAsFloatArray.copyOf())
            DType.INT64 -> LongTensor(shape, tensor.dataAsLongArray.copyOf())
            else -> throw otherType("gives")
        }
    }

    private fun otherType(what: String) =
        ProgramFailed("a program $what a tensor of another type", "export the model again")
}

/** Read through a plain file handle: a file that is mapped into memory can be changed under the runtime. */
internal fun androidLoader(threads: Int) = PteLoader { file: File ->
    AndroidModule(Module.load(file.path, Module.LOAD_MODE_FILE, threads))
}

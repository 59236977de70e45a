package org.fedrela.core.tensors

import org.fedrela.core.InvalidInput

// Of any tensor, whether a program takes it or a file holds it.
public const val MOST_DIMENSIONS: Int = 16
public const val LARGEST_DIMENSION: Long = Int.MAX_VALUE.toLong()
public const val MOST_ELEMENTS: Long = 1L shl 40

/** What an element is; `code` is its name in a safetensors file, in the order in which a file holds its tensors. */
public enum class Dtype(public val word: String, public val code: String, public val bytes: Int) {
    INT64("int64", "I64", 8),
    FLOAT32("float32", "F32", 4),
    INT32("int32", "I32", 4),
    FLOAT16("float16", "F16", 2),
    INT8("int8", "I8", 1),
    UINT8("uint8", "U8", 1),
    BOOL("bool", "BOOL", 1),
}

/** An array in row-major order. `values` are not copied: who hands them over changes them no more. */
public sealed class Tensor(public val dtype: Dtype, public val shape: List<Int>) {
    /** How many elements it has. */
    public abstract val size: Int
}

public class FloatTensor(shape: List<Int>, public val values: FloatArray) : Tensor(Dtype.FLOAT32, shape) {
    override val size: Int get() = values.size
}

public class LongTensor(shape: List<Int>, public val values: LongArray) : Tensor(Dtype.INT64, shape) {
    override val size: Int get() = values.size
}

public class IntTensor(shape: List<Int>, public val values: IntArray) : Tensor(Dtype.INT32, shape) {
    override val size: Int get() = values.size
}

/** Numbers of half precision, as their bits. */
public class HalfTensor(shape: List<Int>, public val bits: ShortArray) : Tensor(Dtype.FLOAT16, shape) {
    override val size: Int get() = bits.size
}

/** int8, uint8 or bool. */
public class ByteTensor(dtype: Dtype, shape: List<Int>, public val values: ByteArray) : Tensor(dtype, shape) {
    override val size: Int get() = values.size
}

/** Arrays by name, in an order that counts. */
public typealias Tensors = Map<String, Tensor>

/** What a tensor must be. */
public class TensorSpec(public val name: String, public val shape: List<Int>, public val dtype: Dtype = Dtype.FLOAT32)

public fun scalar(value: Float): FloatTensor = FloatTensor(emptyList(), floatArrayOf(value))

/** How many elements a shape has. Throws [InvalidInput] where they are more than an array can hold. */
public fun elements(shape: List<Int>): Int {
    var product = 1L
    for (dimension in shape) {
        product *= dimension
        if (product > Int.MAX_VALUE) throw InvalidInput("a tensor is too large", "train a smaller model")
    }
    return product.toInt()
}

/** The float32 values of a tensor. Throws [InvalidInput] where it is not there, or of another dtype. */
public fun Tensors.floats(name: String): FloatArray = (this[name] as? FloatTensor)?.values
    ?: throw InvalidInput("tensor '$name' is not there as float32", "fetch it again")

/** The int64 values of a tensor. Throws [InvalidInput] as [floats] does. */
public fun Tensors.longs(name: String): LongArray = (this[name] as? LongTensor)?.values
    ?: throw InvalidInput("tensor '$name' is not there as int64", "fetch it again")

/** Throws [InvalidInput] unless the tensors have exactly the names, shapes and dtypes of `specs`, all values finite. */
public fun checkTensors(tensors: Tensors, specs: List<TensorSpec>) {
    if (tensors.size != specs.size || specs.any { it.name !in tensors })
        throw InvalidInput("tensor names differ from the manifest", "fetch the file again")
    for (spec in specs) {
        val tensor = tensors.getValue(spec.name)
        if (tensor.dtype != spec.dtype)
            throw InvalidInput("tensor '${spec.name}' is ${tensor.dtype.word}", "send it as ${spec.dtype.word}")
        if (tensor.shape != spec.shape)
            throw InvalidInput("tensor '${spec.name}' has shape ${tensor.shape}", "send it with shape ${spec.shape}")
        if (!isFinite(tensor))
            throw InvalidInput(
                "tensor '${spec.name}' holds a value that is not finite",
                "leave the diverged sample out",
            )
    }
}

internal fun isFinite(tensor: Tensor): Boolean = when (tensor) {
    is FloatTensor -> allFinite(tensor.values)
    is HalfTensor -> tensor.bits.none { isInfiniteHalf(it.toInt()) }
    else -> true
}

internal fun allFinite(values: FloatArray): Boolean = values.none { it.isNaN() || it.isInfinite() }

/** Whether the bits of a number of half precision say infinite or not a number. */
internal fun isInfiniteHalf(bits: Int): Boolean = bits and 0x7c00 == 0x7c00

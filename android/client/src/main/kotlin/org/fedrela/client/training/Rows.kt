package org.fedrela.client.training

import org.fedrela.core.InvalidInput
import org.fedrela.core.tensors.ByteTensor
import org.fedrela.core.tensors.Dtype
import org.fedrela.core.tensors.FloatTensor
import org.fedrela.core.tensors.HalfTensor
import org.fedrela.core.tensors.IntTensor
import org.fedrela.core.tensors.LongTensor
import org.fedrela.core.tensors.Tensor
import org.fedrela.core.tensors.elements

/** How many elements a row of a tensor has. */
internal fun rowSize(tensor: Tensor): Int = elements(tensor.shape.drop(1))

/** The rows of a tensor at `rows`, in that order: a copy. */
public fun takeRows(tensor: Tensor, rows: IntArray): Tensor {
    val width = rowSize(tensor)
    val shape = listOf(rows.size) + tensor.shape.drop(1)
    val size = rows.size * width
    return when (tensor) {
        is FloatTensor -> FloatTensor(shape, FloatArray(size).also { copyRows(tensor.values, rows, width, it) })
        is LongTensor -> LongTensor(shape, LongArray(size).also { copyRows(tensor.values, rows, width, it) })
        is IntTensor -> IntTensor(shape, IntArray(size).also { copyRows(tensor.values, rows, width, it) })
        is HalfTensor -> HalfTensor(shape, ShortArray(size).also { copyRows(tensor.bits, rows, width, it) })
        is ByteTensor ->
            ByteTensor(tensor.dtype, shape, ByteArray(size).also { copyRows(tensor.values, rows, width, it) })
    }
}

private fun copyRows(from: Any, rows: IntArray, width: Int, to: Any) {
    rows.forEachIndexed { slot, row -> System.arraycopy(from, row * width, to, slot * width, width) }
}

/**
 * share * row + (1 - share) * partner, row by row, in float64; float32 rounded once, bytes to the nearest, halves up.
 * Throws [InvalidInput] for whole numbers that have nothing in between.
 */
internal fun interpolate(rows: Tensor, partners: Tensor, shares: DoubleArray): Tensor {
    val width = rowSize(rows)
    fun mixed(at: Int, row: Double, partner: Double): Double {
        val share = shares[at / width]
        return row * share + partner * (1 - share)
    }
    if (rows is FloatTensor && partners is FloatTensor)
        return FloatTensor(rows.shape, FloatArray(rows.size) { at ->
            mixed(at, rows.values[at].toDouble(), partners.values[at].toDouble()).toFloat()
        })
    if (rows is ByteTensor && partners is ByteTensor && rows.dtype == Dtype.UINT8)
        return ByteTensor(rows.dtype, rows.shape, ByteArray(rows.size) { at ->
            val sum = mixed(at, unsigned(rows.values[at]), unsigned(partners.values[at]))
            Math.floor(sum + 0.5).toInt().toByte()
        })
    throw InvalidInput("these data have no in-between", "the operator should choose synthesis \"none\" for them")
}

private fun unsigned(byte: Byte): Double = (byte.toInt() and 0xff).toDouble()

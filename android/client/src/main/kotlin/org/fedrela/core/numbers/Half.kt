package org.fedrela.core.numbers

private const val SIGN = 0x8000
private const val INFINITE = 0x7c00
private const val NOT_A_NUMBER = 0x7e00
private const val LARGEST = 65520f // from here on it rounds to infinity

/** The bits of the number of half precision nearest to `value`, ties to even; infinite where it is too large. */
internal fun halfBits(value: Float): Short {
    if (value.isNaN()) return NOT_A_NUMBER.toShort()
    val sign = if (value.toRawBits() < 0) SIGN else 0
    val magnitude = Math.abs(value)
    if (magnitude >= LARGEST) return (sign or INFINITE).toShort()
    val exponent = maxOf(Math.getExponent(magnitude), -14)
    val steps = Math.rint(Math.scalb(magnitude.toDouble(), 10 - exponent)).toInt() // exact, then to even
    val bits = if (Math.getExponent(magnitude) < -14) steps else ((exponent + 14) shl 10) + steps
    return (sign or bits).toShort()
}

/** The number that bits of half precision stand for. */
internal fun halfValue(bits: Short): Float {
    val exponent = (bits.toInt() shr 10) and 0x1f
    val fraction = bits.toInt() and 0x3ff
    val magnitude = when (exponent) {
        0 -> Math.scalb(fraction.toFloat(), -24)
        0x1f -> if (fraction == 0) Float.POSITIVE_INFINITY else Float.NaN
        else -> Math.scalb((fraction + 1024).toFloat(), exponent - 25)
    }
    return if (bits < 0) -magnitude else magnitude
}

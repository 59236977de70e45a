package org.fedrela.core.secure

// Shamir's secret sharing, byte by byte over GF(2^8) with the polynomial x^8 + x^4 + x^3 + x + 1, as in AES: any t
// shares give the secret back, t - 1 say nothing about it. A device splits; only a coordinator combines.

private const val ORDER = 255 // of the multiplicative group
private const val POLYNOMIAL = 0x11b
private val POWERS = IntArray(2 * ORDER) // 3^0, 3^1, ... twice over
private val LOGARITHMS = IntArray(ORDER + 1).also { logarithms -> // that of 0 is never used
    var element = 1
    for (exponent in 0 until ORDER) {
        POWERS[exponent] = element
        POWERS[exponent + ORDER] = element
        logarithms[element] = exponent
        val doubled = element shl 1
        element = element xor (if (doubled > ORDER) doubled xor POLYNOMIAL else doubled)
    }
}

/** The product of two elements. */
internal fun multiply(left: Int, right: Int): Int =
    if (left == 0 || right == 0) 0 else POWERS[LOGARITHMS[left] + LOGARITHMS[right]]

/**
 * The shares of members 1 to `members`, each as long as the secret. `coefficients`: threshold - 1 times as many
 * uniformly random bytes as the secret has, the first block for x, the next for x^2; used once, and kept secret.
 */
internal fun split(secret: ByteArray, threshold: Int, members: Int, coefficients: ByteArray): List<ByteArray> {
    val blocks = (1 until threshold).map { coefficients.copyOfRange((it - 1) * secret.size, it * secret.size) }
    return (1..members).map { valueAt(listOf(secret) + blocks, it) }
}

/** The polynomials' values at x, by Horner's rule. */
private fun valueAt(rows: List<ByteArray>, x: Int): ByteArray {
    val value = IntArray(rows.first().size)
    for (row in rows.asReversed())
        for (at in value.indices) value[at] = multiply(value[at], x) xor (row[at].toInt() and 0xff)
    return ByteArray(value.size) { value[it].toByte() }
}

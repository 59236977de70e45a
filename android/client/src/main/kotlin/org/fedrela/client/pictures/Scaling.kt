package org.fedrela.client.pictures

private const val PRECISION_BITS = 22
private const val HALF = 1 shl (PRECISION_BITS - 1)
private const val LARGEST = 255

/**
 * Scaling by a triangle filter, to the last bit as Pillow's BILINEAR does it without `reducing_gap`, rows first:
 * weights are float64 sums, rounded to 22 bits; between the passes are 8 bits.
 */
internal fun scale(pixels: Pixels, width: Int, height: Int): Pixels = columns(rows(pixels, width), height)

/** Of each result: its first source pixel, how many count, and their weights, of which `reach` belong to a result. */
private class Weights(val first: IntArray, val count: IntArray, val reach: Int, val weights: IntArray)

private fun rows(pixels: Pixels, width: Int): Pixels {
    if (width == pixels.width) return pixels
    val channels = pixels.channels
    val triangle = triangle(pixels.width, width)
    val out = Pixels(width, pixels.height, channels)
    for (row in 0 until pixels.height)
        for (column in 0 until width)
            for (channel in 0 until channels) {
                val from = (row * pixels.width + triangle.first[column]) * channels + channel
                out.data[(row * width + column) * channels + channel] = sum(pixels, triangle, column, from, channels)
            }
    return out
}

private fun columns(pixels: Pixels, height: Int): Pixels {
    if (height == pixels.height) return pixels
    val stride = pixels.width * pixels.channels
    val triangle = triangle(pixels.height, height)
    val out = Pixels(pixels.width, height, pixels.channels)
    for (row in 0 until height)
        for (at in 0 until stride)
            out.data[row * stride + at] = sum(pixels, triangle, row, triangle.first[row] * stride + at, stride)
    return out
}

/** Result `place` of the source values that lie `stride` apart from `from` on. */
private fun sum(pixels: Pixels, triangle: Weights, place: Int, from: Int, stride: Int): Byte {
    var sum = HALF
    for (at in 0 until triangle.count[place])
        sum += value(pixels.data[from + at * stride]) * triangle.weights[place * triangle.reach + at]
    return minOf(LARGEST, sum shr PRECISION_BITS).toByte()
}

/**
 * The weights of each of `target` results over `size` source pixels. The operations' order is Pillow's: so are
 * roundings.
 */
private fun triangle(size: Int, target: Int): Weights {
    val ratio = size.toDouble() / target
    val support = maxOf(1.0, ratio)
    val inverse = 1 / support
    val reach = 2 * Math.ceil(support).toInt() + 1
    val result = Weights(IntArray(target), IntArray(target), reach, IntArray(target * reach))
    for (place in 0 until target) {
        val center = (place + 0.5) * ratio
        val begin = maxOf(0, (center - support + 0.5).toInt())
        val length = minOf(size, (center + support + 0.5).toInt()) - begin
        val heights = DoubleArray(length) { maxOf(0.0, 1 - Math.abs((it + begin - center + 0.5) * inverse)) }
        var sum = 0.0
        for (height in heights) sum += height
        for (at in 0 until length)
            result.weights[place * reach + at] = Math.floor(0.5 + heights[at] / sum * (1 shl PRECISION_BITS)).toInt()
        result.first[place] = begin
        result.count[place] = length
    }
    return result
}

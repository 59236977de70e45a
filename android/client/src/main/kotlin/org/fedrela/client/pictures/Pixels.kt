package org.fedrela.client.pictures

private const val WHITE = 255

/** Rows of pixels from the top, each pixel's channels (1 or 3) beside each other. */
public class Pixels(
    public val width: Int,
    public val height: Int,
    public val channels: Int,
    public val data: ByteArray = ByteArray(width * height * channels),
)

/** A part of a picture. */
internal data class Box(val left: Int, val top: Int, val width: Int, val height: Int)

internal fun value(byte: Byte): Int = byte.toInt() and 0xff

/** RGBA laid over white: (c * a + 255 * (255 - a) + 127) / 255, rounded down. */
public fun overWhite(width: Int, height: Int, rgba: ByteArray): Pixels {
    val out = Pixels(width, height, 3)
    for (at in 0 until width * height) {
        val opacity = value(rgba[4 * at + 3])
        for (channel in 0 until 3) out.data[3 * at + channel] = overWhite(value(rgba[4 * at + channel]), opacity)
    }
    return out
}

/** The same of numbers 0xAARRGGBB, written into `out` from its pixel `at` on. */
public fun overWhite(argb: IntArray, out: Pixels, at: Int) {
    for ((place, color) in argb.withIndex())
        for (channel in 0 until 3)
            out.data[3 * (at + place) + channel] = overWhite(color ushr (16 - 8 * channel) and 0xff, color ushr 24)
}

private fun overWhite(color: Int, opacity: Int): Byte =
    ((color * opacity + WHITE * (WHITE - opacity) + 127) / WHITE).toByte()

/** Whether any pixel's red, green and blue differ. */
internal fun isColored(pixels: Pixels): Boolean = (0 until pixels.width * pixels.height).any { at ->
    val red = pixels.data[3 * at]
    red != pixels.data[3 * at + 1] || red != pixels.data[3 * at + 2]
}

/** ITU-R 601 in whole numbers, as Pillow's "L". */
internal fun gray(pixels: Pixels): Pixels {
    val out = Pixels(pixels.width, pixels.height, 1)
    for (at in out.data.indices) {
        val (red, green, blue) = IntArray(3) { value(pixels.data[3 * at + it]) }
        out.data[at] = ((red * 19_595 + green * 38_470 + blue * 7_471 + 0x8000) shr 16).toByte()
    }
    return out
}

/** As it is to be seen, by an EXIF orientation 1 to 8. */
internal fun upright(pixels: Pixels, orientation: Int): Pixels {
    if (orientation == 1) return pixels
    val isSideways = orientation >= 5
    val isMirrored = orientation in setOf(2, 3, 7, 8) // the source's columns run backwards
    val isFlipped = orientation in setOf(3, 4, 6, 7) // its rows do
    val (width, height) = if (isSideways) pixels.height to pixels.width else pixels.width to pixels.height
    val out = Pixels(width, height, pixels.channels)
    for (row in 0 until height)
        for (column in 0 until width) {
            val (x, y) = if (isSideways) row to column else column to row
            val sourceRow = if (isFlipped) pixels.height - 1 - y else y
            val sourceColumn = if (isMirrored) pixels.width - 1 - x else x
            val from = (sourceRow * pixels.width + sourceColumn) * pixels.channels
            System.arraycopy(pixels.data, from, out.data, (row * width + column) * pixels.channels, pixels.channels)
        }
    return out
}

/** A part of the picture. */
internal fun cut(pixels: Pixels, box: Box): Pixels {
    val out = Pixels(box.width, box.height, pixels.channels)
    val bytes = box.width * pixels.channels
    for (row in 0 until box.height) {
        val from = ((box.top + row) * pixels.width + box.left) * pixels.channels
        System.arraycopy(pixels.data, from, out.data, row * bytes, bytes)
    }
    return out
}

/** A picture within a black one of another size. */
internal fun pasted(picture: Pixels, width: Int, height: Int, box: Box): Pixels {
    val out = Pixels(width, height, picture.channels)
    val bytes = picture.width * picture.channels
    for (row in 0 until picture.height) {
        val to = ((box.top + row) * width + box.left) * picture.channels
        System.arraycopy(picture.data, row * bytes, out.data, to, bytes)
    }
    return out
}

/** (channels, height, width), as models take them. */
internal fun planes(pixels: Pixels): ByteArray {
    val area = pixels.width * pixels.height
    return ByteArray(area * pixels.channels) { pixels.data[it % area * pixels.channels + it / area] }
}

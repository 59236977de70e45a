package org.fedrela.client.pictures

import java.util.zip.DataFormatException
import java.util.zip.Inflater

// The pixels of a PNG: inflated, unfiltered, brought from their depth and colors to RGBA, and laid over white.

internal const val GRAY = 0 // color types
internal const val RGB = 2
internal const val PALETTE = 3
private val CHANNELS = intArrayOf(1, 0, 3, 1, 2, 0, 4) // by color type
private const val PAETH = 4 // the last of the filters

/** How samples lie in a PNG; depth is 1, 2, 4 or 8 bits. */
internal class Samples(
    val width: Int,
    val height: Int,
    val depth: Int,
    val colorType: Int,
    val isInterlaced: Boolean,
) {
    val channels: Int get() = CHANNELS[colorType]
    val bits: Int get() = depth * channels
}

/** `colors`: RGB of color type 3; `opacities`: of the first of them; `transparent`: the color that is not there. */
internal class Palette(val colors: ByteArray, val opacities: ByteArray, val transparent: List<Int>)

/** Every so-manieth pixel of a picture. */
private class Pass(val left: Int, val top: Int, val stepX: Int, val stepY: Int)

private val WHOLE = listOf(Pass(0, 0, 1, 1))
private val ADAM7 = listOf(
    Pass(0, 0, 8, 8), Pass(4, 0, 8, 8), Pass(0, 4, 4, 8), Pass(2, 0, 4, 4), Pass(0, 2, 2, 4), Pass(1, 0, 2, 2),
    Pass(0, 1, 1, 2),
)

/** RGB over white from compressed `parts`. Throws [DataFormatException] where they are damaged, or too few. */
internal fun unpack(samples: Samples, palette: Palette, parts: List<ByteArray>): Pixels {
    val out = Pixels(samples.width, samples.height, 3)
    val inflated = Inflated(parts)
    try {
        for (pass in if (samples.isInterlaced) ADAM7 else WHOLE) unpack(samples, palette, pass, inflated, out)
        inflated.finish()
    } finally {
        inflated.close()
    }
    return out
}

private fun unpack(samples: Samples, palette: Palette, pass: Pass, inflated: Inflated, out: Pixels) {
    val columns = (samples.width - pass.left + pass.stepX - 1) / pass.stepX
    val rows = (samples.height - pass.top + pass.stepY - 1) / pass.stepY
    if (columns <= 0 || rows <= 0) return
    val rgba = ByteArray(4 * columns)
    var line = ByteArray((columns * samples.bits + 7) / 8)
    var previous = ByteArray(line.size)
    val filter = ByteArray(1)
    for (row in 0 until rows) {
        inflated.read(filter)
        inflated.read(line)
        unfilter(value(filter[0]), line, previous, maxOf(1, samples.bits / 8))
        expand(line, samples, palette, rgba)
        place(overWhite(columns, 1, rgba), out, (pass.top + row * pass.stepY) * out.width + pass.left, pass.stepX)
        line = previous.also { previous = line }
    }
}

/** What is compressed in several parts, as one. */
private class Inflated(parts: List<ByteArray>) : AutoCloseable {
    private val inflater = Inflater()
    private val parts = parts.iterator()

    /** Fill `bytes`. Throws [DataFormatException] where there are fewer. */
    fun read(bytes: ByteArray) {
        var length = 0
        while (length < bytes.size) {
            val count = next(bytes, length)
            if (count < 0) throw DataFormatException("pixels are missing")
            length += count
        }
    }

    /** What follows the pixels is read for its checksum alone. */
    fun finish() {
        val rest = ByteArray(1024)
        while (next(rest, 0) >= 0) continue
        if (!inflater.finished()) throw DataFormatException("it is cut short")
    }

    override fun close() = inflater.end()

    /** How many bytes came, which may be none; -1 where no more will. */
    private fun next(bytes: ByteArray, from: Int): Int {
        val count = inflater.inflate(bytes, from, bytes.size - from)
        if (count > 0) return count
        if (inflater.needsDictionary()) throw DataFormatException("it needs a dictionary")
        if (inflater.finished() || (inflater.needsInput() && !parts.hasNext())) return -1
        if (inflater.needsInput()) inflater.setInput(parts.next())
        return 0
    }
}

/** Undo a row's filter in place; `step` bytes back lies the same sample of the pixel before. */
private fun unfilter(filter: Int, line: ByteArray, previous: ByteArray, step: Int) {
    if (filter > PAETH) throw DataFormatException("a row has the filter $filter")
    if (filter == 0) return
    for (at in line.indices) {
        val before = if (at < step) 0 else value(line[at - step])
        val above = value(previous[at])
        val guess = when (filter) {
            1 -> before
            2 -> above
            3 -> (before + above) shr 1
            else -> paeth(before, above, if (at < step) 0 else value(previous[at - step]))
        }
        line[at] = (value(line[at]) + guess).toByte()
    }
}

private fun paeth(before: Int, above: Int, corner: Int): Int {
    val (fromBefore, fromAbove) = Math.abs(above - corner) to Math.abs(before - corner)
    val fromCorner = Math.abs(before + above - 2 * corner)
    if (fromBefore <= fromAbove && fromBefore <= fromCorner) return before
    return if (fromAbove <= fromCorner) above else corner
}

/** A row of samples as RGBA. */
private fun expand(line: ByteArray, samples: Samples, palette: Palette, rgba: ByteArray) {
    for (pixel in 0 until rgba.size / 4) {
        if (samples.channels == 1) single(line, samples, palette, rgba, pixel)
        else several(line, samples, palette, rgba, pixel)
    }
}

/** A pixel of one sample: a shade, or a place in the palette. An index beyond it is black. */
private fun single(line: ByteArray, samples: Samples, palette: Palette, rgba: ByteArray, pixel: Int) {
    val most = (1 shl samples.depth) - 1
    val bit = pixel * samples.depth
    val sample = (value(line[bit shr 3]) shr (8 - samples.depth - (bit and 7))) and most
    val isIndex = samples.colorType == PALETTE
    for (channel in 0 until 3) {
        val shade = (sample * 255 / most).toByte()
        rgba[4 * pixel + channel] = if (isIndex) palette.colors.getOrElse(3 * sample + channel) { 0 } else shade
    }
    rgba[4 * pixel + 3] = when {
        isIndex -> palette.opacities.getOrElse(sample) { -1 }
        sample == palette.transparent.firstOrNull() -> 0
        else -> -1
    }
}

/** A pixel of two to four samples of 8 bits. */
private fun several(line: ByteArray, samples: Samples, palette: Palette, rgba: ByteArray, pixel: Int) {
    val from = pixel * samples.channels
    for (channel in 0 until 3) rgba[4 * pixel + channel] = line[if (samples.channels >= 3) from + channel else from]
    val hasOpacity = samples.colorType != RGB
    val isHidden = palette.transparent.size == 3 &&
        (0 until 3).all { value(rgba[4 * pixel + it]) == palette.transparent[it] }
    rgba[4 * pixel + 3] = if (hasOpacity) line[from + samples.channels - 1] else if (isHidden) 0 else -1
}

/** A row of RGB pixels into every `step`-th place from the pixel `at` on. */
private fun place(row: Pixels, out: Pixels, at: Int, step: Int) {
    for (pixel in 0 until row.width)
        System.arraycopy(row.data, 3 * pixel, out.data, 3 * (at + pixel * step), 3)
}

package org.fedrela.client.pictures

import org.fedrela.core.InvalidData
import java.nio.ByteBuffer
import java.util.zip.CRC32
import java.util.zip.DataFormatException

// A PNG as RGB over white, bit by bit: systems follow color profiles, and read damaged files each in its way. As Pillow
// reads it: the checksums up to the first pixels count, what follows them may be missing.

private const val SIGNATURE = "\u0089PNG\r\n\u001a\n"
private const val CHUNK_HEAD_BYTES = 8 // length and type, and after the data
private const val CHECKSUM_BYTES = 4
private const val HEADER_BYTES = 13
private const val DEEP = 16
private val WIDE = setOf(8, DEEP)
private val DEPTHS = mapOf(0 to WIDE + setOf(1, 2, 4), 2 to WIDE, 3 to setOf(1, 2, 4, 8), 4 to WIDE, 6 to WIDE)

private class Chunk(val type: String, val data: ByteArray)

internal fun isPng(body: ByteArray): Boolean = latin(body, 0, SIGNATURE.length) == SIGNATURE

/** Pixels as they are stored, and the orientation 1 to 8. Throws [InvalidData]. */
internal fun decodePng(body: ByteArray, name: String): Decoded {
    val chunks = chunks(body, name)
    checkOrder(chunks.map { it.type }, name)
    fun first(type: String) = chunks.find { it.type == type }?.data
    val header = first("IHDR")?.takeIf { it.size == HEADER_BYTES } ?: throw damaged(name, "it has no header")
    val samples = samples(header, name)
    val palette = palette(first("PLTE") ?: ByteArray(0), first("tRNS") ?: ByteArray(0), samples)
    if (samples.colorType == PALETTE && palette.colors.isEmpty()) throw damaged(name, "it has no palette")
    val pixels = try {
        unpack(samples, palette, chunks.filter { it.type == "IDAT" }.map { it.data })
    } catch (fault: DataFormatException) {
        throw damaged(name, fault.message.orEmpty(), fault)
    }
    return Decoded(pixels, first("eXIf")?.let(::orientationOf) ?: 1)
}

/** All chunks up to the end. Throws [InvalidData] where one before the pixels is damaged, or these are cut short. */
private fun chunks(body: ByteArray, name: String): List<Chunk> {
    val numbers = ByteBuffer.wrap(body)
    val chunks = ArrayList<Chunk>()
    var hasPixels = false
    var at = SIGNATURE.length
    while (at + CHUNK_HEAD_BYTES <= body.size) {
        checkParts(chunks.size + 1, name)
        val end = at + CHUNK_HEAD_BYTES + unsigned(numbers, at)
        val type = latin(body, at + 4, 4)
        if (type == "IEND") break
        hasPixels = hasPixels || type == "IDAT"
        if (end > body.size && (!hasPixels || type == "IDAT")) throw damaged(name, "it is cut short")
        if (end > body.size) break
        val next = end.toInt()
        if (!hasPixels && !isWhole(body, at + 4, next)) throw damaged(name, "a checksum is wrong")
        chunks.add(Chunk(type, body.copyOfRange(at + CHUNK_HEAD_BYTES, next)))
        at = next + CHECKSUM_BYTES
    }
    if (!hasPixels) throw damaged(name, "it has no pixels")
    return chunks
}

/** Throws [InvalidData] for two headers, and for colors that come too late: decoders make of them what they like. */
private fun checkOrder(types: List<String>, name: String) {
    if (types.count { it == "IHDR" } > 1) throw damaged(name, "it has two headers")
    val late = types.drop(types.indexOf("IDAT"))
    if ("PLTE" in late || "tRNS" in late) throw damaged(name, "its colors come after its pixels")
}

private fun isWhole(body: ByteArray, from: Int, end: Int): Boolean {
    if (end + CHECKSUM_BYTES > body.size) return false
    val sum = CRC32().apply { update(body, from, end - from) }
    return sum.value == unsigned(ByteBuffer.wrap(body), end)
}

private fun unsigned(numbers: ByteBuffer, at: Int): Long = numbers.getInt(at).toLong() and 0xffffffffL

private fun samples(header: ByteArray, name: String): Samples {
    val numbers = ByteBuffer.wrap(header)
    val (width, height) = unsigned(numbers, 0) to unsigned(numbers, 4)
    val (depth, colorType) = value(header[8]) to value(header[9])
    if (width == 0L || height == 0L || DEPTHS[colorType]?.contains(depth) != true || header[11] != 0.toByte())
        throw damaged(name, "its header is wrong")
    checkSize(width, height, name)
    if (depth == DEEP) throw tooDeep(name)
    return Samples(width.toInt(), height.toInt(), depth, colorType, isInterlaced = header[12] != 0.toByte())
}

/** The colors of a palette, or the one color that a chunk of its own makes transparent. */
private fun palette(colors: ByteArray, transparency: ByteArray, samples: Samples): Palette {
    if (samples.colorType == PALETTE) return Palette(colors, transparency, emptyList())
    val values = when (samples.colorType) {
        GRAY -> 1
        RGB -> 3
        else -> 0
    }
    val numbers = ByteBuffer.wrap(transparency)
    val transparent = if (transparency.size >= 2 * values) List(values) { numbers.getShort(2 * it).toInt() and 0xffff }
    else emptyList()
    return Palette(colors, ByteArray(0), transparent)
}

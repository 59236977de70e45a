package org.fedrela.client.pictures

import org.fedrela.core.InvalidData
import java.io.ByteArrayOutputStream
import java.nio.ByteBuffer
import java.nio.ByteOrder

// JPEG and WebP files without what systems treat differently: color profiles, EXIF, XMP. What they say is read here;
// their pixels are left to the system.

/** A file to decode, and how its picture is to be turned. */
internal class Bare(val body: ByteArray, val orientation: Int)

private const val FILL = 0xff
private const val FRAME = 0xc0 // markers of JPEG
private const val SCAN = 0xda
private const val END = 0xd9
private const val APPLICATION = 0xe0
private const val COMMENT = 0xfe
private val NO_FRAMES = setOf(0xc4, 0xc8, 0xcc) // among the sixteen from FRAME on
private val COLOR_FORMS = setOf(APPLICATION, APPLICATION + 14) // JFIF and Adobe: they tell whether it is YCbCr
private val COMPONENTS = setOf(1, 3, 4)
private const val FRAME_BYTES = 10
private const val EXIF_MARK = "Exif\u0000\u0000"
private const val MOST_EXIF_PARTS = 20 // the standard knows one

internal fun isJpeg(body: ByteArray): Boolean = latin(body, 0, 3) == "\u00ff\u00d8\u00ff"

/** A JPEG with the segments alone that its pixels need. Throws [InvalidData]. */
internal fun bareJpeg(body: ByteArray, name: String): Bare {
    val out = ByteArrayOutputStream(body.size).apply { write(body, 0, 2) }
    val found = Found()
    var at = 2
    while (at + 4 <= body.size && value(body[at + 1]) != SCAN) {
        checkParts(++found.segments, name)
        if (value(body[at]) != FILL) throw damaged(name, "between its segments is something else")
        val marker = value(body[at + 1])
        if (marker == FILL) {
            at += 1
            continue
        }
        val end = at + 2 + (value(body[at + 2]) shl 8) + value(body[at + 3])
        val segment = body.copyOfRange(at, minOf(end, body.size))
        found.read(marker, segment, name)
        if (isNeeded(marker)) out.write(segment)
        at = minOf(end, body.size)
    }
    if (!found.isFramed || !hasEnd(body, at)) throw damaged(name, "it is cut short")
    out.write(body, at, body.size - at)
    return Bare(out.toByteArray(), if (found.orientation == 0) 1 else found.orientation)
}

private fun isNeeded(marker: Int): Boolean {
    val describes = marker in APPLICATION..APPLICATION + 15 || marker == COMMENT
    return !describes || marker in COLOR_FORMS
}

/** What the segments of a JPEG have said so far. */
private class Found {
    var segments = 0
    var orientation = 0
    var isFramed = false
    private var exifs = 0

    fun read(marker: Int, segment: ByteArray, name: String) {
        if (latin(segment, 4, EXIF_MARK.length) == EXIF_MARK) {
            if (++exifs > MOST_EXIF_PARTS) throw damaged(name, "it has more than $MOST_EXIF_PARTS EXIF blocks")
            if (marker == APPLICATION + 1 && orientation == 0)
                orientation = orientationOf(segment.copyOfRange(4, segment.size))
        }
        if (marker in FRAME until FRAME + 16 && marker !in NO_FRAMES) {
            checkFrame(segment, name)
            isFramed = true
        }
    }
}

private fun checkFrame(segment: ByteArray, name: String) {
    if (segment.size < FRAME_BYTES) throw damaged(name, "it is cut short")
    val numbers = ByteBuffer.wrap(segment)
    val (height, width) = numbers.getShort(5).toLong() and 0xffff to (numbers.getShort(7).toLong() and 0xffff)
    checkSize(width, height, name)
    val (bits, components) = value(segment[4]) to value(segment[9])
    if (bits != 8 || components !in COMPONENTS) throw damaged(name, "it has $components components of $bits bits")
    if (components == 4) throw forPrint(name)
}

private fun hasEnd(body: ByteArray, from: Int): Boolean =
    (from + 1 until body.size).any { value(body[it]) == END && value(body[it - 1]) == FILL }

private const val HEAD_BYTES = 12 // of a WebP's file, and
private const val CHUNK_HEAD_BYTES = 8
private const val DESCRIPTIONS = 0x20 or 0x08 or 0x04 // flags of VP8X: profile, EXIF, XMP
private val NO_PIXELS = setOf("ICCP", "EXIF", "XMP ")

internal fun isWebp(body: ByteArray): Boolean = latin(body, 0, 4) == "RIFF" && latin(body, 8, 4) == "WEBP"

/** A WebP with the chunks alone that its pixels need. Throws [InvalidData]. */
internal fun bareWebp(body: ByteArray, name: String): Bare {
    val numbers = ByteBuffer.wrap(body).order(ByteOrder.LITTLE_ENDIAN)
    val end = 8 + (numbers.getInt(4).toLong() and 0xffffffffL)
    if (end > body.size) throw damaged(name, "it is cut short")
    val out = ByteArrayOutputStream(body.size).apply { write(body, 0, HEAD_BYTES) }
    var (orientation, chunks) = 1 to 0
    var at = HEAD_BYTES
    while (at + CHUNK_HEAD_BYTES <= end) {
        checkParts(++chunks, name)
        val size = numbers.getInt(at + 4).toLong() and 0xffffffffL
        val next = minOf(at + CHUNK_HEAD_BYTES + size + (size and 1), end).toInt()
        val (type, chunk) = latin(body, at, 4) to body.copyOfRange(at, next)
        if (type == "EXIF") orientation = orientationOf(chunk.copyOfRange(CHUNK_HEAD_BYTES, chunk.size))
        if (type == "VP8X" && chunk.size > CHUNK_HEAD_BYTES)
            chunk[CHUNK_HEAD_BYTES] = (value(chunk[CHUNK_HEAD_BYTES]) and DESCRIPTIONS.inv()).toByte()
        sizeOfWebp(type, chunk)?.let { (width, height) -> checkSize(width, height, name) }
        if (type !in NO_PIXELS) out.write(chunk)
        at = next
    }
    val bare = out.toByteArray()
    ByteBuffer.wrap(bare).order(ByteOrder.LITTLE_ENDIAN).putInt(4, bare.size - 8)
    return Bare(bare, orientation)
}

/** Width and height that a chunk tells; null where it tells none. */
private fun sizeOfWebp(type: String, chunk: ByteArray): Pair<Long, Long>? {
    fun byte(at: Int) = chunk.getOrNull(CHUNK_HEAD_BYTES + at)?.let(::value)?.toLong() ?: 0
    fun two(at: Int) = byte(at) or (byte(at + 1) shl 8)
    return when (type) {
        "VP8X" -> 1 + (two(4) or (byte(6) shl 16)) to 1 + (two(7) or (byte(9) shl 16))
        "VP8 " -> two(6) and 0x3fff to (two(8) and 0x3fff)
        "VP8L" -> 1 + (two(1) and 0x3fff) to 1 + ((two(2) shr 6) or ((byte(4) and 0xf) shl 10))
        else -> null
    }
}

package org.fedrela.client.pictures

import java.nio.BufferUnderflowException
import java.nio.ByteBuffer
import java.nio.ByteOrder

private const val ORIENTATION = 0x0112 // the tag, and
private const val SHORT = 3 // the only type that it may have
private const val ENTRY_BYTES = 12
private const val UPRIGHT = 1
private val PREFIX = "Exif\u0000\u0000".toByteArray(Charsets.ISO_8859_1)
private val ORDERS = mapOf("II*\u0000" to ByteOrder.LITTLE_ENDIAN, "MM\u0000*" to ByteOrder.BIG_ENDIAN)

/**
 * How a picture is to be turned, 1 to 8, from its EXIF block: the first directory's orientation, or 1 where there is
 * none.
 */
internal fun orientationOf(exif: ByteArray): Int {
    val hasPrefix = exif.size >= PREFIX.size && exif.copyOf(PREFIX.size).contentEquals(PREFIX)
    val tiff = if (hasPrefix) exif.copyOfRange(PREFIX.size, exif.size) else exif
    if (tiff.size < 4) return UPRIGHT
    val order = ORDERS[tiff.copyOf(4).toString(Charsets.ISO_8859_1)] ?: return UPRIGHT
    return try {
        orientation(ByteBuffer.wrap(tiff).order(order))
    } catch (_: IndexOutOfBoundsException) { // it points outside of itself
        UPRIGHT
    } catch (_: BufferUnderflowException) {
        UPRIGHT
    }
}

private fun orientation(tiff: ByteBuffer): Int {
    val directory = tiff.getInt(4)
    val entries = unsigned(tiff.getShort(directory))
    for (number in 0 until entries) {
        val at = directory + 2 + ENTRY_BYTES * number
        if (unsigned(tiff.getShort(at)) != ORIENTATION) continue
        val value = unsigned(tiff.getShort(at + 8))
        val isWhole = unsigned(tiff.getShort(at + 2)) == SHORT && tiff.getInt(at + 4) == 1
        return if (isWhole && value in 1..8) value else UPRIGHT
    }
    return UPRIGHT
}

private fun unsigned(number: Short): Int = number.toInt() and 0xffff

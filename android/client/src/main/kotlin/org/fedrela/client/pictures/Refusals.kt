package org.fedrela.client.pictures

import org.fedrela.core.InvalidData

private const val MOST_PIXELS = 100_000_000L
private const val MOST_PARTS = 20_000 // of a file; more than a camera ever writes
private const val LONGEST_SIDE = 65_535 // of any JPEG; up to there every client scales with the same numbers

/** Throws [InvalidData] for a picture that is too large. */
internal fun checkSize(width: Long, height: Long, name: String) {
    if (width * height > MOST_PIXELS || maxOf(width, height) > LONGEST_SIDE)
        throw InvalidData("the image $name is too large (${width}x$height)", "scale it down")
}

/** Throws [InvalidData] for a file of too many parts: chunks, or segments. */
internal fun checkParts(count: Int, name: String) {
    if (count > MOST_PARTS) throw damaged(name, "it has more than $MOST_PARTS parts")
}

internal fun tooDeep(name: String) =
    InvalidData("the image $name has more than 8 bits per channel", "convert it to 8 bits")

internal fun forPrint(name: String) = InvalidData("the image $name is CMYK, made for print", "convert it to RGB")

/** For a file that can't be decoded. */
public fun damaged(name: String, reason: String, cause: Throwable? = null): InvalidData =
    InvalidData("the image $name can't be decoded ($reason)", "choose pictures that open elsewhere", cause)

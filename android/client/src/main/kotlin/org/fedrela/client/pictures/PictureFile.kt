package org.fedrela.client.pictures

import org.fedrela.core.InvalidData
import java.nio.charset.StandardCharsets

/** A decoded picture: RGB over white as stored in the file, and its EXIF orientation 1 to 8. */
public class Decoded(public val pixels: Pixels, public val orientation: Int)

/**
 * What decodes the files that aren't PNG: RGB over white, the file's first picture. What it can't decode is
 * [InvalidData], which names the file.
 */
public fun interface SystemDecoder {
    public fun decode(body: ByteArray, name: String): Pixels
}

/**
 * A picture's file as pixels: PNG by this library, to the bit; others by the `system`, once what systems treat
 * differently, color profiles and orientations, is taken out of them. Throws [InvalidData], which names the file.
 */
public fun decodePicture(body: ByteArray, name: String, system: SystemDecoder): Decoded = try {
    decode(body, name, system)
} catch (fault: OutOfMemoryError) { // a file of a few bytes may promise any size
    throw InvalidData("the image $name is too large for the memory of this app", "scale it down", fault)
}

private fun decode(body: ByteArray, name: String, system: SystemDecoder): Decoded {
    if (isPng(body)) return decodePng(body, name)
    val bare = when {
        isJpeg(body) -> bareJpeg(body, name)
        isWebp(body) -> bareWebp(body, name)
        else -> Bare(body, 1)
    }
    if (body.isEmpty()) throw damaged(name, "it is empty")
    return Decoded(system.decode(bare.body, name), bare.orientation)
}

/** Bytes as the characters of their numbers; fewer where there are no more. */
internal fun latin(bytes: ByteArray, from: Int, count: Int): String {
    val begin = minOf(from, bytes.size)
    return String(bytes, begin, minOf(count, bytes.size - begin), StandardCharsets.ISO_8859_1)
}

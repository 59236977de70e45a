package org.fedrela.client.pictures

import org.fedrela.core.InvalidData
import org.fedrela.core.program.Fit
import org.fedrela.core.program.Preprocessing

/** What a model takes: 1 or 3 channels of so many pixels. */
internal data class Layout(public val channels: Int, public val height: Int, public val width: Int)

/**
 * From decoded RGB pixels to the bytes that a model takes, (channels, height, width). Throws [InvalidData] for another
 * size, or a colored picture, where `how` doesn't allow that.
 */
internal fun fitted(decoded: Pixels, orientation: Int, name: String, layout: Layout, how: Preprocessing): ByteArray {
    val turned = upright(decoded, orientation)
    if (how.fit == Fit.EXACT && (turned.width != layout.width || turned.height != layout.height))
        throw InvalidData("the image $name is of another size than the model takes", "resize it")
    if (layout.channels == 1 && !how.grayscale && isColored(turned))
        throw InvalidData("the image $name is colored and the model takes gray ones", "convert it to gray")
    return planes(fit(if (layout.channels == 1) gray(turned) else turned, layout, how.fit))
}

private fun fit(pixels: Pixels, layout: Layout, fit: Fit): Pixels {
    val (width, height) = layout.width to layout.height
    if (pixels.width == width && pixels.height == height) return pixels
    return when (fit) {
        Fit.CROP -> scale(cut(pixels, cropBox(pixels.width, pixels.height, width, height)), width, height)
        Fit.PAD -> {
            val box = padBox(pixels.width, pixels.height, width, height)
            pasted(scale(pixels, box.width, box.height), width, height, box)
        }
        Fit.STRETCH, Fit.EXACT -> scale(pixels, width, height)
    }
}

/** The largest centered part of a picture that has the target's proportions, in whole pixels rounded down. */
internal fun cropBox(width: Int, height: Int, targetWidth: Int, targetHeight: Int): Box {
    val (w, h, tw, th) = longArrayOf(width.toLong(), height.toLong(), targetWidth.toLong(), targetHeight.toLong())
    val wide = if (w * th > h * tw) maxOf(1, h * tw / th).toInt() else width
    val high = if (w * th > h * tw) height else maxOf(1, w * th / tw).toInt()
    return Box((width - wide) / 2, (height - high) / 2, wide, high)
}

/** Where a picture lies that is scaled to fit within the target, centered; its shorter side rounded half up. */
internal fun padBox(width: Int, height: Int, targetWidth: Int, targetHeight: Int): Box {
    val (w, h, tw, th) = longArrayOf(width.toLong(), height.toLong(), targetWidth.toLong(), targetHeight.toLong())
    val wide = if (w * th > h * tw) targetWidth else maxOf(1, (2 * w * th + h) / (2 * h)).toInt()
    val high = if (w * th > h * tw) maxOf(1, (2 * h * tw + w) / (2 * w)).toInt() else targetHeight
    return Box((targetWidth - wide) / 2, (targetHeight - high) / 2, wide, high)
}

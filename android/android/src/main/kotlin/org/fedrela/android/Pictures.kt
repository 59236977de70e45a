package org.fedrela.android

import android.content.ContentResolver
import android.graphics.Bitmap
import android.graphics.BitmapFactory
import android.graphics.ColorSpace
import android.graphics.ImageDecoder
import android.net.Uri
import android.os.Build
import androidx.annotation.RequiresApi
import org.fedrela.client.pictures.Picture
import org.fedrela.client.pictures.PictureFolder
import org.fedrela.client.pictures.Pixels
import org.fedrela.client.pictures.SystemDecoder
import org.fedrela.client.pictures.damaged
import org.fedrela.client.pictures.overWhite
import org.fedrela.core.InvalidData
import java.io.ByteArrayOutputStream
import java.io.File
import java.io.IOException
import java.io.InputStream
import java.nio.ByteBuffer

private const val MOST_BYTES = 64_000_000 // of one picture's file
private const val MOST_PIXELS = 100_000_000L
private const val CHUNK_BYTES = 65_536

/** An app's pictures, decoded by Android where they aren't PNG. `folder`: one that holds nothing else. */
public fun pictureFolder(folder: File): PictureFolder = PictureFolder(folder, AndroidDecoder)

/** Keep a copy of what a picker gave, as [PictureFolder.add] does. Blocks. Throws [InvalidData]. */
public fun PictureFolder.add(className: String, resolver: ContentResolver, picture: Uri): Picture {
    val body = try {
        resolver.openInputStream(picture)?.use(::read)
    } catch (fault: IOException) {
        throw InvalidData("the picture can't be read (${fault.message})", "choose it again", fault)
    } catch (fault: SecurityException) {
        throw InvalidData("the app may not read the picture any more", "choose it again", fault)
    }
    return add(className, body ?: throw InvalidData("the picture is not there any more", "choose another one"))
}

private fun read(stream: InputStream): ByteArray {
    val out = ByteArrayOutputStream()
    val chunk = ByteArray(CHUNK_BYTES)
    while (out.size() <= MOST_BYTES) {
        val count = stream.read(chunk)
        if (count < 0) return out.toByteArray()
        out.write(chunk, 0, count)
    }
    throw InvalidData("the picture has more than $MOST_BYTES bytes", "scale it down")
}

/** Android's own decoders: in full size, in software, opacity kept apart. */
internal object AndroidDecoder : SystemDecoder {
    override fun decode(body: ByteArray, name: String): Pixels {
        val bitmap = if (Build.VERSION.SDK_INT >= 28) Newer.decode(body, name) else older(body, name)
        try {
            return pixels(bitmap)
        } finally {
            bitmap.recycle()
        }
    }

    /** As phones before Android 9 decode. */
    internal fun older(body: ByteArray, name: String): Bitmap {
        val bounds = BitmapFactory.Options().apply { inJustDecodeBounds = true }
        BitmapFactory.decodeByteArray(body, 0, body.size, bounds)
        checkRoom(bounds.outWidth, bounds.outHeight, name)
        val options = BitmapFactory.Options().apply {
            inPremultiplied = false
            inScaled = false
            inPreferredColorSpace = ColorSpace.get(ColorSpace.Named.SRGB)
        }
        return BitmapFactory.decodeByteArray(body, 0, body.size, options)
            ?: throw damaged(name, "it is no picture that this phone can read")
    }

    /** A row at a time: the whole picture is in memory twice as it is. */
    private fun pixels(bitmap: Bitmap): Pixels {
        val out = Pixels(bitmap.width, bitmap.height, 3)
        val row = IntArray(bitmap.width)
        for (y in 0 until bitmap.height) {
            bitmap.getPixels(row, 0, row.size, 0, y, row.size, 1)
            overWhite(row, out, y * row.size)
        }
        return out
    }
}

/** Throws [InvalidData] for what can't be decoded, and for what would not fit into the memory of this app. */
internal fun checkRoom(width: Int, height: Int, name: String) {
    if (width <= 0 || height <= 0) throw damaged(name, "it is no picture that this phone can read")
    val pixels = width.toLong() * height
    // Bitmap, then its colors, then these turned: 4 + 3 + 3 bytes for each.
    if (pixels > minOf(MOST_PIXELS, Runtime.getRuntime().maxMemory() / 10))
        throw InvalidData("the image $name is too large (${width}x$height) for this phone", "scale it down")
}

@RequiresApi(28)
private object Newer {
    fun decode(body: ByteArray, name: String): Bitmap = try {
        ImageDecoder.decodeBitmap(ImageDecoder.createSource(ByteBuffer.wrap(body)), Header(name))
    } catch (fault: IOException) {
        throw damaged(name, "it is no picture that this phone can read", fault)
    }

    @RequiresApi(28)
    private class Header(private val name: String) : ImageDecoder.OnHeaderDecodedListener {
        override fun onHeaderDecoded(decoder: ImageDecoder, info: ImageDecoder.ImageInfo, source: ImageDecoder.Source) {
            checkRoom(info.size.width, info.size.height, name)
            decoder.allocator = ImageDecoder.ALLOCATOR_SOFTWARE
            decoder.isUnpremultipliedRequired = true
            decoder.setTargetColorSpace(ColorSpace.get(ColorSpace.Named.SRGB))
        }
    }
}

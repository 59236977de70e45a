package org.fedrela.android

import android.app.Application
import android.net.Uri
import androidx.test.core.app.ApplicationProvider
import org.fedrela.client.pictures.Pixels
import org.fedrela.client.pictures.SystemDecoder
import org.fedrela.client.pictures.decodePicture
import org.fedrela.client.pictures.overWhite
import org.fedrela.core.InvalidData
import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertEquals
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.RobolectricTestRunner
import org.robolectric.Shadows.shadowOf
import java.io.File

private const val WIDTH = 48
private const val HEIGHT = 36

/** Of formats that keep every color, none; JPEG and lossy WebP decoders may differ by 2 on average. */
private val DIFFERENCE = mapOf("bmp" to 0.0, "gif" to 0.0, "jpg" to 2.0, "webp" to 2.0)

/** Android's decoders give what Pillow gives: beside each picture lie its RGB values over white, as Pillow reads it. */
@RunWith(RobolectricTestRunner::class)
class PicturesTest {
    private val app = ApplicationProvider.getApplicationContext<Application>()
    private val turned = mapOf("turned.jpg" to 6, "clear.webp" to 6)
    private val names = listOf(
        "clear.webp", "few.gif", "gray.jpg", "lossy.webp", "plain.bmp", "progressive.jpg", "turned.jpg",
    )

    /** As phones before Android 9 decode. */
    private val older: SystemDecoder = SystemDecoder { body, name ->
        val bitmap = AndroidDecoder.older(body, name)
        val argb = IntArray(bitmap.width * bitmap.height)
        bitmap.getPixels(argb, 0, bitmap.width, 0, 0, bitmap.width, bitmap.height)
        Pixels(bitmap.width, bitmap.height, 3).also { overWhite(argb, it, 0) }
    }

    private fun resource(name: String) = javaClass.getResourceAsStream("/pictures/$name")!!.use { it.readBytes() }

    @Test
    fun `colors are as they are in the file, whatever its profile, and as yet unturned`() {
        for (decoder in listOf(AndroidDecoder, older)) for (name in names) {
            val decoded = decodePicture(resource(name), name, decoder)
            val size = listOf(decoded.pixels.width, decoded.pixels.height, decoded.orientation)
            assertEquals(name, listOf(WIDTH, HEIGHT, turned[name] ?: 1), size)
            val (have, want) = decoded.pixels.data to resource("$name.rgb")
            val mean = have.indices.sumOf { Math.abs((have[it].toInt() and 255) - (want[it].toInt() and 255)) } /
                have.size.toDouble()
            val allowed = if (name == "clear.webp") 0.0 else DIFFERENCE.getValue(name.substringAfter('.'))
            assertTrue("$name differs by $mean", mean <= allowed)
        }
    }

    @Test
    fun `what Android can't decode is refused by name`() {
        for (decoder in listOf(AndroidDecoder, older)) {
            val cut = resource("plain.bmp").copyOf(30)
            for (body in listOf("no picture".toByteArray(), cut)) {
                val fault = assertThrows(InvalidData::class.java) { decodePicture(body, "it", decoder) }
                assertTrue(fault.problem, "it can't be decoded" in fault.problem)
            }
        }
    }

    @Test
    fun `a picture that would not fit into memory is refused before it is decoded`() {
        val fault = assertThrows(InvalidData::class.java) { checkRoom(60_000, 60_000, "it") }
        assertTrue(fault.problem, "too large" in fault.problem)
        checkRoom(1_000, 1_000, "it")
    }

    @Test
    fun `a picked picture is copied, and one that is no longer there refused`() {
        val pictures = pictureFolder(File(app.filesDir, "pictures"))
        val (there, gone) = Uri.parse("content://pictures/1") to Uri.parse("content://pictures/2")
        val resolver = app.contentResolver
        shadowOf(resolver).registerInputStream(there, resource("turned.jpg").inputStream())
        val picture = pictures.add("cat", resolver, there)
        assertArrayEquals(resource("turned.jpg"), picture.file.readBytes())
        shadowOf(resolver).registerInputStreamSupplier(gone) { throw java.io.FileNotFoundException("gone") }
        assertThrows(InvalidData::class.java) { pictures.add("cat", resolver, gone) }
        assertEquals(listOf("cat" to picture.id), pictures.pictures().map { it.className to it.id })
    }
}

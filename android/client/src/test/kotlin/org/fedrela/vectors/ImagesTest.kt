package org.fedrela.vectors

import org.fedrela.client.pictures.Box
import org.fedrela.client.pictures.Layout
import org.fedrela.client.pictures.cropBox
import org.fedrela.client.pictures.decodePicture
import org.fedrela.client.pictures.fitted
import org.fedrela.client.pictures.orientationOf
import org.fedrela.client.pictures.overWhite
import org.fedrela.client.pictures.padBox
import org.fedrela.core.InvalidData
import org.fedrela.core.json.Json
import org.fedrela.core.program.DataKind
import org.fedrela.core.program.Fit
import org.fedrela.core.program.Preprocessing
import org.fedrela.core.trust.fromHex
import org.junit.jupiter.api.Assertions.assertArrayEquals
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.TestFactory

/** What the refusals of the vectors are called here. */
private val REASONS = mapOf(
    "damaged" to "can't be decoded",
    "depth" to "more than 8 bits",
    "print" to "CMYK",
    "too-large" to "too large",
)

/** From decoded pixels to the bytes that a model takes. */
class ImagesTest {
    private val document = Vectors.json("images.json")

    private fun ints(values: Json) = values.longs.map { it.toInt() }

    private fun box(values: Json) =
        ints(values).let { (left, top, right, bottom) -> Box(left, top, right - left, bottom - top) }

    @Test
    fun `boxes`() {
        for (case in document["boxes"].items) {
            val (width, height) = ints(case["size"])
            val (targetWidth, targetHeight) = ints(case["target"])
            assertEquals(box(case["crop"]), cropBox(width, height, targetWidth, targetHeight))
            assertEquals(box(case["pad"]), padBox(width, height, targetWidth, targetHeight))
        }
    }

    @Test
    fun `orientations`() {
        for (case in document["exif"].items)
            assertEquals(case["orientation"].int, orientationOf(fromHex(case["block"].text)!!))
    }

    /** PNG is decoded here; of JPEG only what is refused by its header is among the vectors. */
    @TestFactory
    fun `files`() = tests(document["files"].items) { case ->
        val decode = { decodePicture(case["body"].base64, "it") { _, _ -> error("a system's decoder was asked") } }
        val refused = case.find("refused")?.text
        if (refused != null) assertTrue(REASONS.getValue(refused) in assertRefused<InvalidData>(decode).problem)
        else {
            val decoded = decode()
            val size = listOf(case["width"].int, case["height"].int, case["orientation"].int)
            assertEquals(size, listOf(decoded.pixels.width, decoded.pixels.height, decoded.orientation))
            assertArrayEquals(case["rgb"].base64, decoded.pixels.data)
        }
    }

    /** What bundles said before there was `fit`. */
    private fun fitOfOld(how: Json) = if (how.find("resize")?.bool == true) "stretch" else "exact"

    @TestFactory
    fun `tensors`() = tests(document["tensors"].items) { case ->
        val (width, height) = case["width"].int to case["height"].int
        val pattern = case["rgba"].base64
        val rgba = ByteArray(4 * width * height) { pattern[it % pattern.size] }
        val (channels, rows, columns) = ints(case["shape"])
        val how = case["preprocessing"]
        val preprocessing = Preprocessing(
            DataKind.IMAGE,
            how.find("grayscale")?.bool ?: false,
            Fit.entries.single { it.word == (how.find("fit")?.text ?: fitOfOld(how)) },
        )
        val bytes = {
            val pixels = overWhite(width, height, rgba)
            fitted(pixels, case["orientation"].int, "it", Layout(channels, rows, columns), preprocessing)
        }
        if (case.find("refused") != null) assertRefused<InvalidData>(bytes)
        else assertArrayEquals(case["expected"].base64, bytes())
    }
}

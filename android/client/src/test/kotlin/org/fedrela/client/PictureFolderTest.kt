package org.fedrela.client

import org.fedrela.client.pictures.Layout
import org.fedrela.client.pictures.PictureFolder
import org.fedrela.client.pictures.decodePicture
import org.fedrela.client.pictures.fitted
import org.fedrela.core.InvalidData
import org.fedrela.core.program.Dimension
import org.fedrela.core.program.Manifest
import org.fedrela.core.program.Role
import org.fedrela.core.program.readManifest
import org.fedrela.core.tensors.ByteTensor
import org.fedrela.vectors.Vectors
import org.fedrela.vectors.base64
import org.fedrela.vectors.find
import org.fedrela.vectors.get
import org.fedrela.vectors.items
import org.junit.jupiter.api.Assertions.assertArrayEquals
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.io.TempDir
import java.io.File

private const val MANIFEST = "rounds/bundle/manifest.json"

class PictureFolderTest {
    @TempDir
    lateinit var temporary: File

    private val bodies =
        Vectors.json("images.json")["files"].items.filter { it.find("rgb") != null }.map { it["body"].base64 }
    private val folder get() = PictureFolder(File(temporary, "pictures")) { _, _ -> error("every picture is a PNG") }

    /** The manifest of the rounds' bundle, which takes pictures, its classes named. */
    private fun manifest(vararg names: String): Manifest = with(readManifest(Vectors.bytes(MANIFEST))) {
        Manifest(name, names.size, names.toList(), programs, golden, hyperparameters, preprocessing, requires)
    }

    @Test
    fun `a picture is of the class that it was added to last`() {
        folder.add("a cat / or two", bodies[0])
        folder.add("..", bodies[0])
        folder.add("dog", bodies[1])
        folder.add("dog", bodies[1])
        assertEquals(listOf("..", "dog"), folder.pictures().map { it.className })
        assertArrayEquals(bodies[0], folder.pictures()[0].file.readBytes())
        val place = temporary.canonicalPath + "/pictures/"
        assertEquals(true, folder.pictures().all { it.file.canonicalPath.startsWith(place) })
        folder.pictures().forEach(folder::remove)
        assertEquals(emptyList<String>(), folder.pictures().map { it.className })
    }

    @Test
    fun `what is no picture, or of no class, is refused and not kept`() {
        assertThrows(InvalidData::class.java) { folder.add("cat", bodies[0].copyOf(40)) }
        assertThrows(InvalidData::class.java) { folder.add(" ", bodies[0]) }
        assertEquals(false, File(temporary, "pictures").exists())
    }

    @Test
    fun `a picture that doesn't fit into memory ends nobody's app`() {
        val pictures = PictureFolder(File(temporary, "pictures")) { _, _ -> throw OutOfMemoryError() }
        assertThrows(InvalidData::class.java) { pictures.add("cat", "GIF89a".toByteArray()) }
    }

    @Test
    fun `a model gets its bytes, and nothing is guessed about classes`() {
        val pictures = folder
        val model = manifest("cat", "dog")
        val layout = model.trainStep.inputs(Role.X).single().shape
            .mapNotNull { (it as? Dimension.Size)?.elements }
            .let { (channels, height, width) -> Layout(channels, height, width) }
        pictures.add("dog", bodies[0])
        pictures.add("cat", bodies[1])
        repeat(2) {
            val examples = pictures.load(model)
            assertArrayEquals(longArrayOf(0, 1), examples.y)
            val want = listOf(1, 0).map { bytes(bodies[it], layout, model) }.reduce { one, two -> one + two }
            assertArrayEquals(want, (examples.x.values.single() as ByteTensor).values)
        }
        pictures.add("bee", bodies[2])
        assertThrows(InvalidData::class.java) { pictures.load(model) }
    }

    private fun bytes(body: ByteArray, layout: Layout, model: Manifest): ByteArray {
        val decoded = decodePicture(body, "it") { _, _ -> error("it is a PNG") }
        return fitted(decoded.pixels, decoded.orientation, "it", layout, model.preprocessing)
    }
}

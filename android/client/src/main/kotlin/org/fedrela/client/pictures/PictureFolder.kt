package org.fedrela.client.pictures

import org.fedrela.client.training.ClassNumbers
import org.fedrela.client.training.ExampleSource
import org.fedrela.client.training.Examples
import org.fedrela.core.InvalidData
import org.fedrela.core.program.Manifest
import org.fedrela.core.program.Preprocessing
import org.fedrela.core.program.Role
import org.fedrela.core.program.sized
import org.fedrela.core.tensors.ByteTensor
import org.fedrela.core.tensors.Dtype
import org.fedrela.core.trust.sha256
import java.io.File
import java.io.IOException
import java.net.URLDecoder
import java.net.URLEncoder

private const val MOST_BYTES = 64_000_000 // of one picture's file
private const val TEMPORARY = "~"
private const val UTF_8 = "UTF-8" // charsets as objects came with Java 10

/** One picture of a folder. `id`: of its content. */
public class Picture(public val className: String, public val id: String, public val file: File)

/**
 * An app's pictures by class, kept as they came in a folder of their own, and offered to whatever model takes pictures.
 * All of it stays on the device. Calls may come from several threads.
 */
public class PictureFolder(private val folder: File, private val system: SystemDecoder) : ExampleSource {
    private val made = HashMap<String, Made>() // by id

    /** Bytes as a model takes them, and what they were made for. */
    private class Made(val layout: Layout, val how: Preprocessing, val bytes: ByteArray)

    /**
     * Keep a picture's file as one of a class. Where the same file is there already, it changes its class. Throws
     * [InvalidData] for one that can't be decoded.
     */
    @Synchronized
    public fun add(className: String, body: ByteArray): Picture {
        if (className.isBlank()) throw InvalidData("a class without a name", "name it as the model does")
        if (body.size > MOST_BYTES) throw InvalidData("the picture has more than $MOST_BYTES bytes", "scale it down")
        val id = sha256(body)
        decodePicture(body, id.take(8), system)
        val picture = Picture(className, id, File(File(folder, fileName(className)), id))
        translated {
            if (!picture.file.isFile) write(picture.file, body)
            pictures().filter { it.id == id && it.className != className }.forEach { it.file.delete() }
        }
        return picture
    }

    /** Take a picture away. */
    @Synchronized
    public fun remove(picture: Picture) {
        picture.file.delete()
        picture.file.parentFile?.delete() // which fails as long as there are others of its class
        made.remove(picture.id)
    }

    /** All pictures, by class and then in an order that stays. */
    @Synchronized
    public fun pictures(): List<Picture> = folder.listFiles().orEmpty().filter { it.isDirectory }.flatMap { of ->
        val files = of.listFiles().orEmpty().filter { !it.name.endsWith(TEMPORARY) }
        files.map { Picture(className(of.name), it.name, it) }
    }.sortedWith(compareBy({ it.className }, { it.id }))

    /** Throws [InvalidData] for a model that takes no pictures or doesn't know a class, and for a damaged picture. */
    @Synchronized
    override fun load(manifest: Manifest): Examples {
        val (name, layout) = pictureInput(manifest)
        val pictures = pictures()
        val numbers = ClassNumbers(manifest.classNames, manifest.classes)
        val labels = LongArray(pictures.size) { numbers.of(pictures[it].className).toLong() }
        val area = layout.channels * layout.height * layout.width
        val values = ByteArray(Math.multiplyExact(pictures.size, area))
        pictures.forEachIndexed { row, picture ->
            System.arraycopy(bytes(picture, layout, manifest.preprocessing), 0, values, row * area, area)
        }
        val shape = listOf(pictures.size, layout.channels, layout.height, layout.width)
        return Examples(mapOf(name to ByteTensor(Dtype.UINT8, shape, values)), labels)
    }

    /** A picture is decoded once for a model, however many rounds there are. */
    private fun bytes(picture: Picture, layout: Layout, how: Preprocessing): ByteArray {
        made[picture.id]?.takeIf { it.layout == layout && it.how == how }?.let { return it.bytes }
        val name = "${picture.className}/${picture.id.take(8)}"
        val decoded = decodePicture(translated { picture.file.readBytes() }, name, system)
        val bytes = fitted(decoded.pixels, decoded.orientation, name, layout, how)
        made[picture.id] = Made(layout, how, bytes)
        return bytes
    }
}

/** The one input of a model of pictures, and its layout. */
private fun pictureInput(manifest: Manifest): Pair<String, Layout> {
    val input = manifest.trainStep.inputs(Role.X).singleOrNull()
    val shape = input?.let { sized(it.shape, mapOf("B" to 1)) }
    if (input == null || shape == null || shape.size != 4 || shape[1] !in setOf(1, 3) || input.dtype != Dtype.UINT8)
        throw InvalidData("the model ${manifest.name} doesn't take pictures", "offer it what it takes")
    return input.name to Layout(shape[1], shape[2], shape[3])
}

/** Any name of a class as that of a folder, and back. */
private fun fileName(className: String): String = URLEncoder.encode(className, UTF_8).replace(".", "%2E")

private fun className(fileName: String): String = URLDecoder.decode(fileName, UTF_8)

private fun write(file: File, body: ByteArray) {
    val temporary = File(file.path + TEMPORARY)
    file.parentFile!!.mkdirs()
    temporary.writeBytes(body)
    if (!temporary.renameTo(file)) throw IOException("it can't be renamed")
}

private fun <T> translated(access: () -> T): T = try {
    access()
} catch (fault: IOException) {
    throw InvalidData("a picture can't be read or kept (${fault.message})", "free some space, and try again", fault)
}

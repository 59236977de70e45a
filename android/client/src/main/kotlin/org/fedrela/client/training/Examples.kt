package org.fedrela.client.training

import org.bouncycastle.crypto.digests.Blake2bDigest
import org.fedrela.core.InvalidData
import org.fedrela.core.program.Manifest
import org.fedrela.core.program.Role
import org.fedrela.core.program.sized
import org.fedrela.core.tensors.Tensor
import org.fedrela.core.tensors.Tensors
import org.fedrela.core.tensors.isFinite
import org.fedrela.core.tensors.putValues
import org.fedrela.core.trust.hex
import java.nio.ByteBuffer
import java.nio.ByteOrder

private const val FINGERPRINT_BYTES = 16

/**
 * n labeled samples: `x` by input name, each (n, ...), and `y` (n,), class numbers. `keys` (n,) name each sample for
 * good, as unsigned numbers; without them a sample is named by its values. All of it stays on the device.
 */
public class Examples(public val x: Tensors, public val y: LongArray, keys: LongArray? = null) {
    public val size: Int get() = y.size
    public val keys: LongArray by lazy { keys ?: keysByValues(x, size) }

    /** A hash of every value, to notice that data changed within one assignment. */
    internal val fingerprint: String by lazy {
        val digest = Blake2bDigest(8 * FINGERPRINT_BYTES)
        for ((name, tensor) in x.toSortedMap()) {
            digest.absorb("$name ${tensor.dtype.word} ${tensor.shape}\n".toByteArray(Charsets.UTF_8))
            digest.absorb(littleEndian(tensor))
        }
        digest.absorb(littleEndian(y))
        digest.absorb(littleEndian(this.keys))
        hex(digest.result())
    }

    /** The samples at `rows`, in that order, by the keys that they have here. */
    internal fun take(rows: IntArray): Examples =
        Examples(x.mapValues { takeRows(it.value, rows) }, pick(y, rows), pick(keys, rows))
}

/** Where the examples of an app come from: asked anew at every assignment, so that they may grow. */
public fun interface ExampleSource {
    /** The examples for a model. Whatever this throws makes the device pass over the assignment. */
    public fun load(manifest: Manifest): Examples
}

/** The app's examples, seen to fit the programs. Throws [InvalidData]. */
internal fun loadExamples(source: ExampleSource, manifest: Manifest): Examples {
    val examples = try {
        source.load(manifest)
    } catch (fault: Exception) {
        throw InvalidData(
            "the app's examples can't be loaded (${fault.message})", "look at the app's source of them",
            fault,
        )
    }
    checkExamples(examples, manifest)
    return examples
}

/** Throws [InvalidData] unless the examples can be fed to a model. */
public fun checkExamples(examples: Examples, manifest: Manifest) {
    val inputs = manifest.trainStep.inputs(Role.X)
    val names = inputs.map { it.name }.toSet()
    if (examples.size == 0) throw InvalidData("there is no example", "offer at least one")
    if (examples.x.keys != names) throw InvalidData("the inputs are ${examples.x.keys}", "name them $names")
    for (input in inputs) {
        val tensor = examples.x.getValue(input.name)
        val shape = sized(input.shape, mapOf("B" to examples.size))
        if (tensor.shape != shape || tensor.dtype != input.dtype)
            throw InvalidData(
                "input '${input.name}' is ${tensor.dtype.word} of shape ${tensor.shape}",
                "make it $shape",
            )
        if (!isFinite(tensor))
            throw InvalidData("input '${input.name}' holds a value that is not finite", "leave it out")
    }
    if (examples.y.any { it !in 0 until manifest.classes.toLong() })
        throw InvalidData("a label is outside 0..${manifest.classes - 1}", "look at the classes of the model")
    if (examples.keys.size != examples.size || examples.keys.toSet().size != examples.size)
        throw InvalidData("two examples have the same key, or one has none", "name every example differently")
}

internal fun pick(values: LongArray, rows: IntArray): LongArray = LongArray(rows.size) { values[rows[it]] }

internal fun littleEndian(values: LongArray): ByteArray {
    val bytes = ByteBuffer.allocate(Long.SIZE_BYTES * values.size).order(ByteOrder.LITTLE_ENDIAN)
    values.forEach { bytes.putLong(it) }
    return bytes.array()
}

internal fun littleEndian(tensor: Tensor): ByteArray {
    val bytes = ByteBuffer.allocate(tensor.size * tensor.dtype.bytes).order(ByteOrder.LITTLE_ENDIAN)
    putValues(tensor, bytes)
    return bytes.array()
}

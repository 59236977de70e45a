package org.fedrela.client.training

import org.fedrela.core.InvalidInput
import org.fedrela.core.tensors.LongTensor
import org.fedrela.core.tensors.longs
import org.fedrela.core.tensors.readTensors
import org.fedrela.core.tensors.writeTensors

/**
 * Labels to train on instead of the originals, by the key of a sample, so that they stay right when data grow. The
 * original labels are never overwritten. `generation`: which re-labeling made it.
 */
internal class Overlay(public val generation: Int, public val relabeled: Map<Long, Long>) {
    /** The labels (n,) to train on: a new array. Samples that the overlay doesn't know keep their own. */
    public fun labels(examples: Examples): LongArray =
        LongArray(examples.size) { relabeled[examples.keys[it]] ?: examples.y[it] }

    /** For the device's own disk; never sent. */
    public fun toBytes(): ByteArray {
        val keys = relabeled.keys.toLongArray()
        val labels = relabeled.values.toLongArray()
        val tensors =
            mapOf("keys" to LongTensor(listOf(keys.size), keys), "relabeled" to LongTensor(listOf(keys.size), labels))
        return writeTensors(tensors, mapOf("generation" to generation.toString()))
    }

    public companion object {
        /** The overlay that gives `labels` to `examples`; only labels that differ are kept. */
        public fun of(examples: Examples, labels: LongArray, generation: Int): Overlay {
            val changed = labels.indices.filter { labels[it] != examples.y[it] }
            return Overlay(generation, changed.associate { examples.keys[it] to labels[it] })
        }

        /** Throws [InvalidInput] for a damaged file. */
        public fun fromBytes(body: ByteArray): Overlay {
            val file = readTensors(body)
            val (keys, labels) = file.tensors.longs("keys") to file.tensors.longs("relabeled")
            val generation = file.metadata["generation"]?.toIntOrNull()
            if (generation == null || keys.size != labels.size)
                throw InvalidInput("an overlay is damaged", "it is made again")
            return Overlay(generation, keys.indices.associate { keys[it] to labels[it] })
        }
    }
}

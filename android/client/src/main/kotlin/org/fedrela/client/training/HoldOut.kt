package org.fedrela.client.training

import org.bouncycastle.crypto.digests.Blake2bDigest
import org.fedrela.client.engine.Engine
import org.fedrela.core.tensors.Tensors
import org.fedrela.core.wire.EvaluationReport

// Local evaluation: a share of the examples that is never trained on, and totals over it. Off unless the owner allows
// it.

private const val KEY_BYTES = 32
private const val DRAW_BYTES = 8
private const val LEAST_PROBABILITY = 1e-12

/** What is trained on, at least one example, and what is held out. */
internal class Split(public val training: Examples, public val heldOut: Examples)

/** Which samples are held out follows from their keys and the secret, so the choice is stable while data grow. */
internal fun split(examples: Examples, fraction: Double, secret: ByteArray): Split {
    if (fraction <= 0) return Split(examples, examples.take(IntArray(0)))
    val digest = Blake2bDigest(8 * KEY_BYTES)
    digest.absorb(secret)
    val key = digest.result()
    val held = BooleanArray(examples.size) { drawn(examples.keys[it], key) < fraction }
    if (held.all { it }) held[0] = false
    val (heldRows, rows) = held.indices.partition { held[it] }
    return Split(examples.take(rows.toIntArray()), examples.take(heldRows.toIntArray()))
}

/** Totals of the global model over the hold-out. */
internal fun evaluate(
    engine: Engine,
    local: LocalRound,
    weights: Tensors,
    heldOut: Examples,
    between: () -> Unit = {},
): EvaluationReport = totals(predict(engine, local, weights, heldOut, between), heldOut.y, engine.manifest.classes)

/** The report of probabilities (n, C) and labels (n,). */
internal fun totals(probabilities: FloatArray, labels: LongArray, classes: Int): EvaluationReport {
    var loss = 0.0
    var correct = 0
    labels.forEachIndexed { row, label ->
        val start = row * classes
        loss -= Math.log(maxOf(probabilities[start + label.toInt()].toDouble(), LEAST_PROBABILITY))
        val first = (0 until classes).maxByOrNull { probabilities[start + it] }
        if (first == label.toInt()) correct += 1
    }
    return EvaluationReport(loss, correct, labels.size)
}

/** A number in [0, 1) of a sample's key, as 8 bytes, under the device's own key. */
private fun drawn(sample: Long, key: ByteArray): Double {
    val digest = Blake2bDigest(key, DRAW_BYTES, null, null)
    digest.absorb(littleEndian(longArrayOf(sample)))
    return unsigned(littleEndianNumber(digest.result())) / TWO_TO_64
}

private const val TWO_TO_64 = 18_446_744_073_709_551_616.0

/** An unsigned number of 64 bits as the nearest float64. */
private fun unsigned(number: Long): Double = number.toULong().toDouble()

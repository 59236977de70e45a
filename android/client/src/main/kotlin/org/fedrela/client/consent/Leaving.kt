package org.fedrela.client.consent

import org.fedrela.client.CLIENT
import org.fedrela.core.FailureCode
import org.fedrela.core.numbers.derive
import org.fedrela.core.numbers.encode
import org.fedrela.core.program.Manifest
import org.fedrela.core.program.ProgramName
import org.fedrela.core.secure.Extras
import org.fedrela.core.secure.Layout
import org.fedrela.core.secure.RevealedShare
import org.fedrela.core.secure.SealedShares
import org.fedrela.core.secure.SecureAgreement
import org.fedrela.core.secure.SecureKeys
import org.fedrela.core.secure.SecureReveal
import org.fedrela.core.secure.SecureShares
import org.fedrela.core.secure.firstClip
import org.fedrela.core.secure.layoutOf
import org.fedrela.core.secure.secureJson
import org.fedrela.core.secure.threshold
import org.fedrela.core.secure.vectorOf
import org.fedrela.core.json.writeJson
import org.fedrela.core.task.Task
import org.fedrela.core.tensors.FloatTensor
import org.fedrela.core.tensors.IntTensor
import org.fedrela.core.tensors.Tensors
import org.fedrela.core.tensors.elements
import org.fedrela.core.tensors.writeTensors
import org.fedrela.core.trust.Link
import org.fedrela.core.wire.EvaluationReport
import org.fedrela.core.wire.PROTOCOL
import org.fedrela.core.wire.checkInRequest
import org.fedrela.core.wire.enrollRequest
import org.fedrela.core.wire.evaluationReport
import org.fedrela.core.wire.failureReport

private const val EXAMPLES = 100 // a count of as many digits as most devices have
private const val BOX_DIGITS = 160 // two sealed shares, in hexadecimal
private val NAME = "0".repeat(64) // a key or a hash, in hexadecimal
private val SIGNATURE = "0".repeat(128)
private val LONGEST_TOTALS = EvaluationReport(123_456.7890123456, 100_000, 100_000)

/**
 * What would come to a device and what would leave it, in bytes: an update of zeros in the task's own encoding, and
 * messages of the lengths that they have or may have. `group`: all messages to the largest group beside the hidden
 * update, 0 in a plain task; `evaluation`: 0 where the task asks for none, or it is hidden within the update.
 */
public class Traffic(
    public val program: Long,
    public val checkpoint: Long,
    public val update: Int,
    public val group: Int,
    public val evaluation: Int,
    public val checkIn: Int,
    public val enrollment: Int,
    public val failure: Int,
)

/** The bytes of a round of an offered task. */
public fun trafficOf(offer: Offer, runtime: String): Traffic {
    val (task, manifest) = offer.task to offer.manifest
    val isSecure = task.privacy.isSecure
    val layout = if (isSecure) layoutOf(task, manifest, firstClip(task.privacy)) else null
    return Traffic(
        program = programBytes(manifest, runtime.substringBefore(' ')),
        checkpoint = offer.checkpointBytes,
        update = layout?.let(::maskedBytes) ?: openBytes(task, manifest),
        group = layout?.let { groupBytes(it.largestGroup) } ?: 0,
        evaluation = if (task.localEvaluation && !isSecure) evaluationReport(LONGEST_TOTALS).size else 0,
        checkIn = checkInRequest(task.population, CLIENT, listOf(runtime), NAME.take(32)).size,
        enrollment = enrollRequest(Link("", NAME.take(43), NAME.take(32), emptyList()), NAME, SIGNATURE, null).size,
        failure = failureReport(FailureCode.SELF_TEST_FAILED).size,
    )
}

/** How many members of a group of that size could together take the hiding off another member's update. */
public fun helpersNeeded(groupMinimum: Int): Int = groupMinimum - threshold(groupMinimum) + 1

private fun programBytes(manifest: Manifest, runtime: String): Long = manifest.golden.sizeBytes.toLong() +
    ProgramName.entries.sumOf { manifest.programs.getValue(it).file(runtime)?.sizeBytes?.toLong() ?: 0 }

private fun openBytes(task: Task, manifest: Manifest): Int =
    encode(zeros(manifest), task.aggregation, EXAMPLES, derive(ByteArray(0)), manifest.statistics).body.size

private fun zeros(manifest: Manifest): Tensors =
    manifest.weights.associate { it.name to FloatTensor(it.shape, FloatArray(elements(it.shape))) }

private fun maskedBytes(layout: Layout): Int {
    val blocks = layout.blocks.map { FloatArray(it.size) }
    val words = vectorOf(layout, blocks, Extras(weight = 1.0), FloatArray(layout.elements))
    val metadata = mapOf(
        "protocol" to PROTOCOL.toString(),
        "encoding" to "masked",
        "session" to NAME,
        "senders_sha256" to NAME,
        "signature" to SIGNATURE,
    )
    return writeTensors(mapOf("masked" to IntTensor(listOf(words.size), words)), metadata).size
}

private fun groupBytes(members: Int): Int {
    val shares = (1..members).map { RevealedShare(it, NAME) }
    val boxes = (2..members).map { SealedShares(it, "0".repeat(BOX_DIGITS)) }
    return listOf(
        secureJson(SecureKeys(NAME, NAME, SIGNATURE)),
        secureJson(SecureShares(NAME, NAME, boxes)),
        secureJson(SecureAgreement(members, NAME, SIGNATURE)),
        secureJson(SecureReveal(NAME, shares, emptyList())),
    ).sumOf { writeJson(it).size }
}

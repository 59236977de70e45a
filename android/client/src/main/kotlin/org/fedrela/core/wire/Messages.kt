package org.fedrela.core.wire

import org.fedrela.core.FailureCode
import org.fedrela.core.NotEligible
import org.fedrela.core.json.Json
import org.fedrela.core.json.json
import org.fedrela.core.json.writeJson
import org.fedrela.core.secure.Certificate
import org.fedrela.core.secure.secureJson
import org.fedrela.core.task.LR_SCHEDULE
import org.fedrela.core.trust.Link

public const val PROTOCOL: Int = 1
public const val UPLOAD_TOKEN_HEADER: String = "Fedrela-Upload-Token"
public const val TENSORS_TYPE: String = "application/vnd.safetensors"

/** The feature that a client must have where updates are summed within groups. */
public const val SECURE: String = "secure-1"

/** What this version understands beyond the base of the protocol. */
internal val FEATURES: List<String> = listOf(LR_SCHEDULE, SECURE)

public class EnrollResponse(
    public val deviceId: String,
    public val deviceToken: String,
    public val coordinatorPublicKey: String,
    public val population: String,
)

/** The publisher's signature over a bundle: who vouches for its programs. */
public class Seal(
    public val manifestSha256: String,
    public val weightsSha256: String,
    public val publicKey: String,
    public val signature: String,
)

public class Assignment(
    public val assignmentId: String,
    public val taskId: String,
    public val round: Long,
    public val taskSha256: String,
    public val manifestSha256: String,
    public val checkpointSha256: String,
    public val checkpointBytes: Long,
    public val computeLeaseSeconds: Double,
    public val uploadLeaseSeconds: Double,
    public val uploadToken: String,
    public val epoch: Long,
    public val signature: String,
    public val seal: Seal?,
    public val clipMillionths: Long = 0, // to which norm a secure update is clipped; 0: to what the task says
)

/** Whether both are the same assignment, on the same programs and weights; leases may differ. */
internal infix fun Assignment.isSameAs(other: Assignment): Boolean =
    assignmentId == other.assignmentId && work(this) == work(other)

/** What an assignment asks for, whoever does it: task, round, program, weights, a clipping norm if it has one. */
internal fun work(item: Assignment): List<String> = listOfNotNull(
    item.taskId,
    item.round.toString(),
    item.taskSha256,
    item.manifestSha256,
    item.checkpointSha256,
    item.checkpointBytes.toString(),
    item.clipMillionths.takeIf { it != 0L }?.toString(),
)

public class Wait(public val retryAfterSeconds: Double, public val reason: String)

/** Why a coordinator has nothing for a device now. Another reason means: come back later. */
private val WAIT_REASONS =
    setOf(
        "no-task", "round-full", "reported", "too-soon", "not-selected", "set-aside", "version", "runtime", "paused",
        "finished",
    )

/** The reason, as far as this version knows it. */
internal fun Wait.knownReason(): String = if (reason in WAIT_REASONS) reason else "later"

public sealed interface CheckInResponse {
    public class Assigned(public val assignment: Assignment) : CheckInResponse
    public class Waiting(public val wait: Wait) : CheckInResponse
}

public class UpdateReceipt(public val round: Long, public val isDuplicate: Boolean)

public class KeyRotation(public val formerKey: String, public val publicKey: String, public val signature: String)

/** RFC 9457. */
public class Problem(
    public val code: String,
    public val detail: String,
    public val remedy: String,
    public val retryAfterSeconds: Double,
)

/** Totals of the global model over a hold-out: cross-entropy in nats, correct answers, examples. Nothing per class. */
public class EvaluationReport(public val lossSum: Double, public val correct: Int, public val examples: Int)

/** `certificate`: that of the device's fleet, if its link named one. */
internal fun enrollRequest(link: Link, publicKey: String, signature: String, certificate: Certificate?): ByteArray =
    message(
        "enrollment_token" to json(link.token),
        "public_key" to json(publicKey),
        "coordinator" to json(link.coordinator),
        "signature" to json(signature),
        "certificate" to (certificate?.let { secureJson(it) } ?: Json.Null),
    )

/** `runtimes`: best first, such as "onnx 1.28.0". */
internal fun checkInRequest(
    population: String,
    client: String,
    runtimes: List<String>,
    nonce: String,
): ByteArray = message(
    "population" to json(population),
    "client" to json(client),
    "runtimes" to json(runtimes.map { json(it) }),
    "nonce" to json(nonce),
    "features" to json(FEATURES.map { json(it) }),
)

internal fun evaluationReport(report: EvaluationReport): ByteArray = message(
    "loss_sum" to json(report.lossSum),
    "correct" to json(report.correct.toLong()),
    "examples" to json(report.examples.toLong()),
)

internal fun failureReport(code: FailureCode): ByteArray = message("code" to json(code.word))

private fun message(vararg members: Pair<String, Json>): ByteArray =
    writeJson(json(*members, "protocol" to json(PROTOCOL.toLong())))

/** Throws [NotEligible] where a task or a manifest requires what this version would misunderstand. */
internal fun checkFeatures(what: String, requires: List<String>) {
    val unknown = requires.find { it !in FEATURES } ?: return
    throw NotEligible("the $what requires $unknown", "update the app")
}

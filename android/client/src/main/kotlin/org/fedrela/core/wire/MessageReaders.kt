package org.fedrela.core.wire

import org.fedrela.core.InvalidInput
import org.fedrela.core.json.Fields
import org.fedrela.core.json.bool
import org.fedrela.core.json.characters
import org.fedrela.core.json.checkProtocol
import org.fedrela.core.json.id
import org.fedrela.core.json.listOf
import org.fedrela.core.json.matching
import org.fedrela.core.json.members
import org.fedrela.core.json.parse
import org.fedrela.core.json.plainName
import org.fedrela.core.json.positive
import org.fedrela.core.json.publicKey
import org.fedrela.core.json.realFrom
import org.fedrela.core.json.sha256
import org.fedrela.core.json.signature
import org.fedrela.core.json.text
import org.fedrela.core.json.token
import org.fedrela.core.json.whole
import org.fedrela.core.json.wholeFrom
import org.fedrela.core.secure.MOST_MILLIONTHS

// The answers of a coordinator. What they hold can be used as it is in a URL or a header: that is part of reading them.
// Each reader throws InvalidInput.

private const val LONGEST_CHAIN = 100
private val leaseSeconds = realFrom(0.0, 4_294_967_296.0)
private val retrySeconds = realFrom(0.0, 1e9)
private val taskId = matching("[A-Za-z0-9._-]{1,200}", "1 to 200 letters, digits, '-', '_' and '.'")

public fun readEnrollResponse(body: ByteArray): EnrollResponse = members { fields ->
    fields.checkProtocol()
    EnrollResponse(
        deviceId = fields.required("device_id", id),
        deviceToken = fields.required("device_token", token),
        coordinatorPublicKey = fields.required("coordinator_public_key", publicKey),
        population = fields.required("population", plainName),
    )
}.parse(body)

/** Exactly one of an assignment and a wait. */
public fun readCheckInResponse(body: ByteArray): CheckInResponse = members { fields ->
    fields.checkProtocol()
    val assignment = fields.nullable("assignment", members { assignment(it) })
    val wait = fields.nullable("wait", members { wait(it) })
    when {
        assignment != null && wait == null -> CheckInResponse.Assigned(assignment)
        assignment == null && wait != null -> CheckInResponse.Waiting(wait)
        else -> throw InvalidInput("the answer is neither an assignment nor a wait", "let it be exactly one of both")
    }
}.parse(body)

internal fun assignment(fields: Fields) = Assignment(
    assignmentId = fields.required("assignment_id", id),
    taskId = fields.required("task_id", taskId),
    round = fields.required("round", positive),
    taskSha256 = fields.required("task_sha256", sha256),
    manifestSha256 = fields.required("manifest_sha256", sha256),
    checkpointSha256 = fields.required("checkpoint_sha256", sha256),
    checkpointBytes = fields.required("checkpoint_bytes", positive),
    computeLeaseSeconds = fields.required("compute_lease_seconds", leaseSeconds),
    uploadLeaseSeconds = fields.required("upload_lease_seconds", leaseSeconds),
    uploadToken = fields.required("upload_token", token),
    epoch = fields.optional("epoch", positive, 1L),
    signature = fields.optional("signature", characters(0, 200), ""),
    seal = fields.nullable("seal", members { seal(it) }),
    clipMillionths = fields.optional("clip_millionths", wholeFrom(0, MOST_MILLIONTHS), 0L),
)

internal fun seal(fields: Fields) = Seal(
    manifestSha256 = fields.required("manifest_sha256", sha256),
    weightsSha256 = fields.required("weights_sha256", sha256),
    publicKey = fields.required("public_key", publicKey),
    signature = fields.required("signature", signature),
)

private fun wait(fields: Fields) = Wait(
    retryAfterSeconds = fields.required("retry_after_seconds", retrySeconds),
    reason = fields.required("reason", characters(1, 100)),
)

public fun readUpdateReceipt(body: ByteArray): UpdateReceipt = members { fields ->
    fields.checkProtocol()
    UpdateReceipt(fields.required("round", positive), fields.optional("duplicate", bool, false))
}.parse(body)

internal fun readKeyChain(body: ByteArray): List<KeyRotation> = members { fields ->
    fields.checkProtocol()
    fields.optional("rotations", listOf(members { rotation(it) }, 0, LONGEST_CHAIN), emptyList())
}.parse(body)

internal fun rotation(fields: Fields) = KeyRotation(
    formerKey = fields.required("former_key", publicKey),
    publicKey = fields.required("public_key", publicKey),
    signature = fields.required("signature", characters(0, 200)),
)

public fun readProblem(body: ByteArray): Problem = members { fields ->
    fields.required("title", text)
    fields.required("status", whole)
    fields.optional("type", text, "about:blank")
    Problem(
        code = fields.required("code", text),
        detail = fields.required("detail", text),
        remedy = fields.required("remedy", text),
        retryAfterSeconds = fields.optional("retry_after_seconds", retrySeconds, 0.0),
    )
}.parse(body)

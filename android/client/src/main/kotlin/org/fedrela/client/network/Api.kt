package org.fedrela.client.network

import org.fedrela.core.FailureCode
import org.fedrela.core.InvalidInput
import org.fedrela.core.json.Json
import org.fedrela.core.json.writeJson
import org.fedrela.core.secure.SecureStep
import org.fedrela.core.secure.readSecureStep
import org.fedrela.core.wire.Assignment
import org.fedrela.core.wire.CheckInResponse
import org.fedrela.core.wire.EnrollResponse
import org.fedrela.core.wire.EvaluationReport
import org.fedrela.core.wire.KeyRotation
import org.fedrela.core.wire.TENSORS_TYPE
import org.fedrela.core.wire.UPLOAD_TOKEN_HEADER
import org.fedrela.core.wire.UpdateReceipt
import org.fedrela.core.wire.evaluationReport
import org.fedrela.core.wire.failureReport
import org.fedrela.core.wire.readCheckInResponse
import org.fedrela.core.wire.readEnrollResponse
import org.fedrela.core.wire.readKeyChain
import org.fedrela.core.wire.readUpdateReceipt

private val JSON = mapOf("Content-Type" to "application/json")

/** The HTTP calls of a device. All may be repeated. Each throws Unavailable or Refused. */
internal class Api(private val transport: Transport) {
    /** `request`: see [org.fedrela.core.wire.enrollRequest]. */
    fun enroll(request: ByteArray): EnrollResponse = post("/v1/devices", request) { readEnrollResponse(it) }

    /** `request`: see [org.fedrela.core.wire.checkInRequest]. */
    fun checkIn(request: ByteArray): CheckInResponse = post("/v1/check-ins", request) { readCheckInResponse(it) }

    /** The same body may be sent any number of times and counts once. */
    fun update(assignment: Assignment, body: ByteArray): UpdateReceipt {
        val headers = mapOf("Content-Type" to TENSORS_TYPE, UPLOAD_TOKEN_HEADER to assignment.uploadToken)
        return transport.call(Call("PUT", path(assignment, "update"), body, headers)) { readUpdateReceipt(it) }
    }

    /** Give the slot back. */
    fun failure(assignment: Assignment, code: FailureCode) {
        post(path(assignment, "failure"), failureReport(code)) { nothing(it) }
    }

    fun evaluation(assignment: Assignment, report: EvaluationReport) {
        post(path(assignment, "evaluation"), evaluationReport(report)) { nothing(it) }
    }

    /** Send a message of a group's session: "keys", "shares", "agreement" or "reveal". */
    fun secure(assignment: Assignment, kind: String, message: Json) {
        transport.call(Call("PUT", path(assignment, "secure/$kind"), writeJson(message), JSON)) { nothing(it) }
    }

    /** What this device is to do next in its group. */
    fun secureStep(assignment: Assignment): SecureStep =
        transport.call(Call("GET", path(assignment, "secure"))) { readSecureStep(it) }

    /** Tell the coordinator to forget this device. */
    fun leave() {
        transport.call(Call("DELETE", "/v1/devices/self")) { nothing(it) }
    }

    /** The open tasks. `token`: that of a link, before this device has enrolled. */
    fun <T> openTasks(token: String?, parse: (ByteArray) -> T): T {
        val headers = token?.let { mapOf("Authorization" to "Bearer $it") }.orEmpty()
        return transport.call(Call("GET", "/v1/tasks", headers = headers), parse)
    }

    /** How the coordinator came by its present key. */
    fun keys(): List<KeyRotation> = transport.call(Call("GET", "/v1/keys", isAnonymous = true)) { readKeyChain(it) }

    private fun <T> post(path: String, body: ByteArray, parse: (ByteArray) -> T): T =
        transport.call(Call("POST", path, body, JSON), parse)

    private fun path(assignment: Assignment, what: String) = "/v1/assignments/${assignment.assignmentId}/$what"
}

/** The body of an answer that has none: a log-in page, say, is no coordinator's word. */
private fun nothing(body: ByteArray) {
    if (body.isNotEmpty()) throw InvalidInput("what answered is no coordinator", "is there a log-in page?")
}

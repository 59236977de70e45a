package org.fedrela.cli

import org.fedrela.core.FedRelaError
import org.fedrela.core.onnx.checkProgram
import org.fedrela.core.program.readManifest
import org.fedrela.core.task.readTask
import org.fedrela.core.tensors.readTensors
import org.fedrela.core.wire.readCheckInResponse
import org.fedrela.core.wire.readEnrollResponse
import org.fedrela.core.wire.readProblem
import org.fedrela.core.wire.readUpdateReceipt
import org.fedrela.executorch.checkPte
import java.util.Base64

/** This client's reader of each kind of body, by its name in the conformance vectors. */
private val READERS: Map<String, (ByteArray) -> Any> = mapOf(
    "CheckInResponse" to ::readCheckInResponse,
    "EnrollResponse" to ::readEnrollResponse,
    "UpdateReceipt" to ::readUpdateReceipt,
    "Problem" to ::readProblem,
    "Task" to ::readTask,
    "Manifest" to ::readManifest,
    "Safetensors" to { body -> readTensors(body) },
    "Program" to { body -> checkProgram(body, "p") },
    "Pte" to { body -> checkPte(body, "p") },
)

/** A line of JSON on the standard input for every body, a verdict on the standard output for each. */
internal fun answerVerdicts() {
    for (line in generateSequence(::readLine)) {
        println(verdict(member(line, "kind"), Base64.getDecoder().decode(member(line, "body"))))
        System.out.flush()
    }
}

/** A text of a line; a body may be longer than any JSON that a device reads. */
private fun member(line: String, name: String): String =
    line.substringAfter("\"$name\"").substringAfter('"').substringBefore('"')

private fun verdict(kind: String, body: ByteArray): String = try {
    READERS.getValue(kind)(body)
    "accepted"
} catch (_: FedRelaError) {
    "refused"
} catch (fault: Throwable) {
    "foreign: ${fault.javaClass.simpleName} ${fault.message.orEmpty().take(60)}".replace('\n', ' ')
}

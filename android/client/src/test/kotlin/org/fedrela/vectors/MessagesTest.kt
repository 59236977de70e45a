package org.fedrela.vectors

import org.fedrela.core.InvalidInput
import org.fedrela.core.NotEligible
import org.fedrela.core.program.Fit
import org.fedrela.core.program.readManifest
import org.fedrela.core.task.generation
import org.fedrela.core.task.lrFactor
import org.fedrela.core.task.readTask
import org.fedrela.core.task.startRound
import org.fedrela.core.wire.CheckInResponse
import org.fedrela.core.wire.checkFeatures
import org.fedrela.core.wire.knownReason
import org.fedrela.core.wire.readCheckInResponse
import org.fedrela.core.wire.readEnrollResponse
import org.fedrela.core.wire.readProblem
import org.fedrela.core.wire.readUpdateReceipt
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.TestFactory

class MessagesTest {
    private val cases = Vectors.json("messages.json")["cases"].items
    private val readers: Map<String, (ByteArray) -> Any> = mapOf(
        "CheckInResponse" to ::readCheckInResponse,
        "EnrollResponse" to ::readEnrollResponse,
        "UpdateReceipt" to ::readUpdateReceipt,
        "Problem" to ::readProblem,
        "Task" to ::readTask,
        "Manifest" to ::readManifest,
    )

    @TestFactory
    fun `a body is taken or refused as the document says`() =
        tests(cases, { "${it["kind"].text}, ${it["name"].text}" }) { case ->
            val body = case.find("base64")?.base64 ?: case["body"].text.toByteArray()
            val read = readers.getValue(case["kind"].text)
            if (case["valid"].bool) read(body) else assertRefused<InvalidInput> { read(body) }
        }

    private fun task(members: String) = readTask("""{"name":"t","rounds":20$members}""".toByteArray())

    @Test
    fun `the re-label generation of a round`() {
        val task = task(""","relabel":{"start":0.8,"period":2,"lr_scale":0.5}""")
        assertEquals(17, startRound(task.relabel, task.rounds))
        assertEquals(listOf(0, 1, 1, 2, 2), (16L..20L).map { generation(task, it) })
        assertEquals(listOf(1.0, 0.5), listOf(16L, 17L).map { lrFactor(task, it) })
    }

    @Test
    fun `a seed that no reader of JSON keeps exactly is a text`() {
        assertEquals("9".repeat(100), task(""","seed":"${"9".repeat(100)}"""").seed.toString())
        assertEquals("12", task(""","seed":"12"""").seed.toString())
    }

    @Test
    fun `a reason to wait that this client doesn't know means later`() {
        fun reason(word: String): String {
            val answer = readCheckInResponse("""{"wait":{"retry_after_seconds":1,"reason":"$word"}}""".toByteArray())
            return (answer as CheckInResponse.Waiting).wait.knownReason()
        }
        assertEquals(listOf("paused", "later", "later"), listOf("paused", "full-moon", "later").map(::reason))
    }

    @Test
    fun `a task that needs what this client can't do is read, and not taken part in`() {
        assertRefused<NotEligible> { checkFeatures("task", task(""","requires":["secure-sum"]""").requires) }
        checkFeatures("task", task("").requires)
    }

    @Test
    fun `how a picture is made to fit, also in bundles that know only of resizing`() {
        val good =
            cases.first { it["kind"].text == "Manifest" && it["valid"].bool && it.find("body") != null }["body"].text
        fun fit(preprocessing: String): Fit {
            val body = good.replaceFirst(Regex(""""preprocessing": *\{[^}]*\}"""), """"preprocessing":$preprocessing""")
            return readManifest(body.toByteArray()).preprocessing.fit
        }
        assertEquals(Fit.EXACT, fit("""{"kind":"image"}"""))
        assertEquals(Fit.STRETCH, fit("""{"kind":"image","resize":true}"""))
        assertEquals(Fit.EXACT, fit("""{"kind":"image","resize":true,"fit":"exact"}"""))
        assertEquals(Fit.PAD, fit("""{"kind":"image","fit":"pad"}"""))
    }
}

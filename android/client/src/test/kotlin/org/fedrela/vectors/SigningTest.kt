package org.fedrela.vectors

import org.fedrela.core.IntegrityError
import org.fedrela.core.json.Json
import org.fedrela.core.json.json
import org.fedrela.core.json.writeJson
import org.fedrela.core.trust.assignmentStatement
import org.fedrela.core.trust.checkHash
import org.fedrela.core.trust.checkSeal
import org.fedrela.core.trust.enrollmentStatement
import org.fedrela.core.trust.fingerprint
import org.fedrela.core.trust.fromHex
import org.fedrela.core.trust.hex
import org.fedrela.core.trust.newestKey
import org.fedrela.core.trust.sealStatement
import org.fedrela.core.trust.sha256
import org.fedrela.core.trust.signedHeaders
import org.fedrela.core.trust.verify
import org.fedrela.core.wire.CheckInResponse
import org.fedrela.core.wire.KeyRotation
import org.fedrela.core.wire.Seal
import org.fedrela.core.wire.readCheckInResponse
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.TestFactory

class SigningTest {
    private val document = Vectors.json("signing.json")

    private fun bytes(text: Json) = fromHex(text.text)!!

    @Test
    fun `hashes`() {
        for (case in document["sha256"].items) assertEquals(case["sha256"].text, sha256(bytes(case["message"])))
        assertRefused<IntegrityError> { checkHash(ByteArray(1), sha256(ByteArray(2)), "x") }
    }

    @TestFactory
    fun `exactly the valid signatures are accepted`() =
        tests(document["ed25519"].items, { it.find("name")?.text ?: "good" }) { case ->
            val check = { verify(case["public_key"].text, bytes(case["message"]), case["signature"].text) }
            if (case["valid"].bool) check() else assertRefused<IntegrityError>(check)
        }

    @Test
    fun `a seal is by a pinned publisher, over that very manifest`() {
        val case = document["seal"]
        val (manifest, weights) = case["manifest_sha256"].text to case["weights_sha256"].text
        val seal = Seal(manifest, weights, case["public_key"].text, case["signature"].text)
        val publishers = listOf("0".repeat(32), case["fingerprint"].text)
        assertEquals(case["message"].text, hex(sealStatement(seal)))
        checkSeal(seal, manifest, publishers)
        assertRefused<IntegrityError> { checkSeal(null, manifest, publishers) }
        assertRefused<IntegrityError> { checkSeal(seal, manifest, emptyList()) }
        assertRefused<IntegrityError> { checkSeal(seal, weights, publishers) }
        val other = Seal(manifest, manifest, seal.publicKey, seal.signature)
        assertRefused<IntegrityError> { checkSeal(other, manifest, publishers) }
    }

    @Test
    fun `what is signed of an assignment`() {
        for (case in document["assignments"].items) {
            val answer = readCheckInResponse(writeJson(json("assignment" to case["assignment"])))
            val assignment = (answer as CheckInResponse.Assigned).assignment
            val (device, population) = case["device_id"].text to case["population"].text
            val statement = assignmentStatement(assignment, device, population, case["nonce"].text)
            assertEquals(case["message"].text, hex(statement))
            verify(case["public_key"].text, statement, case["signature"].text)
        }
    }

    @Test
    fun `what is signed of an enrollment`() {
        val case = document["enrollment"]
        val (token, coordinator) = case["enrollment_token"].text to case["coordinator"].text
        val statement = enrollmentStatement(token, case["public_key"].text, coordinator)
        assertEquals(coordinator, fingerprint(case["coordinator_key"].text))
        assertEquals(case["message"].text, hex(statement))
        verify(case["public_key"].text, statement, case["signature"].text)
    }

    @TestFactory
    fun `signed requests`() = tests(document["requests"].items, { "${it["method"].text} ${it["path"].text}" }) { case ->
        val headers =
            signedHeaders(case["private_key"].text, case["method"].text, case["path"].text, bytes(case["body"]))
        assertEquals(case["headers"].members.mapValues { it.value.text }, headers)
    }

    @TestFactory
    fun `chains of keys`() = tests(document["key_chains"].items) { case ->
        val rotations = case["rotations"].items.map {
            KeyRotation(it["former_key"].text, it["public_key"].text, it["signature"].text)
        }
        val newest = { newestKey(rotations, case["pinned"].text) }
        if (case["newest"].isNull) assertRefused<IntegrityError>(newest)
        else assertEquals(case["newest"].text, newest())
    }
}

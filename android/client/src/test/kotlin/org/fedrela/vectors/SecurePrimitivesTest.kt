package org.fedrela.vectors

import org.fedrela.core.IntegrityError
import org.fedrela.core.InvalidInput
import org.fedrela.core.json.Json
import org.fedrela.core.secure.Address
import org.fedrela.core.secure.Certificate
import org.fedrela.core.secure.Shares
import org.fedrela.core.secure.Work
import org.fedrela.core.secure.agreed
import org.fedrela.core.secure.applyPad
import org.fedrela.core.secure.checkAgreementKey
import org.fedrela.core.secure.checkCertificate
import org.fedrela.core.secure.commitment
import org.fedrela.core.secure.derivedKey
import org.fedrela.core.secure.fleetTokenStatement
import org.fedrela.core.secure.keysStatement
import org.fedrela.core.secure.maskedStatement
import org.fedrela.core.secure.multiply
import org.fedrela.core.secure.ownKey
import org.fedrela.core.secure.pairKey
import org.fedrela.core.secure.readMembership
import org.fedrela.core.secure.seal
import org.fedrela.core.secure.sendersHash
import org.fedrela.core.secure.split
import org.fedrela.core.secure.survivorsStatement
import org.fedrela.core.secure.threshold
import org.fedrela.core.secure.unseal
import org.fedrela.core.trust.fingerprint
import org.fedrela.core.trust.fromHex
import org.fedrela.core.trust.hex
import org.fedrela.core.trust.parseLink
import org.fedrela.core.trust.publicKeyOf
import org.fedrela.core.trust.sign
import org.fedrela.core.trust.verify
import org.junit.jupiter.api.Assertions.assertArrayEquals
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertNull
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.TestFactory

/** A session's work, as the vectors write it. */
internal fun work(item: Json) = Work(
    item["task_sha256"].text,
    item["manifest_sha256"].text,
    item["checkpoint_sha256"].text,
    item["round"].long,
    item["clip_millionths"].long,
)

/** Ciphers, shares, boxes, statements and certificates of secure aggregation. */
class SecurePrimitivesTest {
    private val primitives = Vectors.json("secure/primitives.json")
    private val sharing = Vectors.json("secure/sharing.json")
    private val statements = Vectors.json("secure/statements.json")

    private fun bytes(text: Json) = fromHex(text.text)!!

    private fun unsigned(words: Json) = words.longs.map { it.toInt() }.toIntArray()

    @Test
    fun `X25519, and keys of small order`() {
        for (case in primitives["x25519"].items) {
            val (own, other) = bytes(case["private_key"]) to bytes(case["public_key"])
            if (!case["secret"].isNull) assertEquals(case["secret"].text, hex(agreed(own, other)))
            else {
                assertRefused<IntegrityError> { agreed(own, other) }
                assertRefused<IntegrityError> { checkAgreementKey(other) }
            }
        }
    }

    @Test
    fun `keys of private keys are taken, and no others`() {
        val (taken, others) = primitives["agreement_keys"].items.partition { it["taken"].bool }
        for (case in taken) checkAgreementKey(bytes(case["key"]))
        for (case in others) assertRefused<IntegrityError> { checkAgreementKey(bytes(case["key"])) }
        assertTrue(taken.size >= 4 && others.size >= 15)
    }

    @Test
    fun `HKDF`() {
        for (case in primitives["hkdf"].items)
            assertEquals(case["key"].text, hex(derivedKey(bytes(case["secret"]), bytes(case["info"]))))
    }

    @Test
    fun `pads, added and taken off, of any length`() {
        for (case in primitives["pads"].items) {
            val words = IntArray(case["words"].items.size)
            applyPad(words, bytes(case["key"]), 1)
            assertArrayEquals(unsigned(case["words"]), words)
            applyPad(words, bytes(case["key"]), -1)
            assertTrue(words.all { it == 0 })
        }
    }

    @Test
    fun `a pad goes on from one strip to the next`() {
        val (long, short) = IntArray(40_000) to IntArray(20_000)
        val key = fromHex("07".repeat(32))!!
        for (words in listOf(long, short)) applyPad(words, key, 1)
        assertArrayEquals(short, long.copyOf(20_000))
        assertTrue(!long.copyOfRange(0, 16_384).contentEquals(long.copyOfRange(16_384, 32_768)))
    }

    @Test
    fun `the keys of a pair and of oneself`() {
        val (pair, own) = primitives["pair_key"] to primitives["own_key"]
        val pairKey = pairKey(bytes(pair["mask_key"]), bytes(pair["public_key"]), bytes(pair["session"]))
        assertEquals(pair["key"].text, hex(pairKey))
        assertEquals(own["key"].text, hex(ownKey(bytes(own["own_seed"]), bytes(own["session"]))))
    }

    @Test
    fun `a box opens for its receiver alone`() {
        val item = primitives["box"]
        val (sender, receiver) = item["sender"].int to item["receiver"].int
        fun to(receiver: Int) = Address(bytes(item["session"]), sender, receiver)
        val shares = Shares(bytes(item["own_seed_share"]), bytes(item["mask_key_share"]))
        val box = seal(bytes(item["seal_key"]), bytes(item["receiver_public_key"]), to(receiver), shares)
        assertEquals(item["box"].text, hex(box))
        fun open(receiver: Int, box: ByteArray) =
            unseal(bytes(item["receiver_seal_key"]), bytes(item["sender_public_key"]), to(receiver), box)
        assertArrayEquals(shares.ownSeed, open(receiver, box)!!.ownSeed)
        assertArrayEquals(shares.maskKey, open(receiver, box)!!.maskKey)
        assertNull(open(receiver + 1, box))
        assertNull(open(receiver, box.copyOf().also { it[0] = (it[0] + 1).toByte() }))
    }

    @Test
    fun `shares over GF(2^8)`() {
        for (case in sharing["products"].items)
            assertEquals(case["product"].int, multiply(case["left"].int, case["right"].int))
        for (case in sharing["split"].items) {
            val shares = case["shares"].texts
            val dealt = split(bytes(case["secret"]), case["threshold"].int, shares.size, bytes(case["coefficients"]))
            assertEquals(shares, dealt.map(::hex))
        }
        for (case in sharing["thresholds"].items) {
            val (members, expected) = case.longs
            assertEquals(expected.toInt(), threshold(members.toInt()))
        }
    }

    @Test
    fun `what is signed and hashed`() {
        for (case in statements["keys"].items) {
            val (work, keys) = work(case["work"]) to case["keys"]
            val message =
                keysStatement(work, case["assignment_id"].text, keys["mask_key"].text, keys["seal_key"].text)
            assertEquals(case["message"].text, hex(message))
            verify(case["identity_key"].text, message, keys["signature"].text)
        }
        val commitment = statements["commitment"]
        val made = commitment(bytes(commitment["session"]), bytes(commitment["own_seed"]))
        assertEquals(commitment["commitment"].text, made)
        val (senders, masked, survivors) =
            Triple(statements["senders"], statements["masked"], statements["survivors"])
        assertEquals(senders["sha256"].text, sendersHash(senders["indices"].longs.map { it.toInt() }))
        val hidden =
            maskedStatement(masked["session"].text, masked["senders_sha256"].text, masked["words_sha256"].text)
        assertEquals(masked["message"].text, hex(hidden))
        val left = survivors["survivors"].longs.map { it.toInt() }
        val told = survivorsStatement(survivors["session"].text, left, survivors["senders_sha256"].text)
        assertEquals(survivors["message"].text, hex(told))
    }

    @TestFactory
    fun `certificates`() = tests(statements["certificates"].items) { case ->
        val certificate = case["certificate"].takeUnless { it.isNull }?.let {
            Certificate(
                it["fleet_key"].text,
                it["token_key"].text,
                it["fleet_signature"].text,
                it["token_signature"].text,
            )
        }
        val check = {
            checkCertificate(certificate, case["identity_key"].text, case["population"].text, case["pinned"].text)
        }
        if (case["valid"].bool) check() else assertRefused<IntegrityError>(check)
    }

    @Test
    fun `a device certifies itself with what its link holds`() {
        val (population, identityKey) = "fleet.1" to publicKeyOf("03".repeat(32))
        val (fleetSeed, tokenSeed) = "01".repeat(32) to "02".repeat(32)
        val word = sign(fleetSeed, fleetTokenStatement(population, publicKeyOf(tokenSeed)))
        val address = "https://fl.example.org/join#token.${"0".repeat(32)}.${"1".repeat(32)}"
        val part = "fleet-${publicKeyOf(fleetSeed)}-$tokenSeed-$word-$population"
        val link = parseLink("$address.$part")
        assertEquals(parseLink(address).publishers, link.publishers)
        val member = readMembership(link.fleet)
        assertEquals(fingerprint(publicKeyOf(fleetSeed)), member.fleet)
        checkCertificate(member.certificate(identityKey), identityKey, population, member.fleet)
        val forged = part.replace(word, sign(tokenSeed, ByteArray(0)))
        assertRefused<IntegrityError> { readMembership(forged) }
        for (wrong in listOf("$address.fleet-$identityKey", "$address.$part!"))
            assertRefused<InvalidInput> { parseLink(wrong) }
    }
}

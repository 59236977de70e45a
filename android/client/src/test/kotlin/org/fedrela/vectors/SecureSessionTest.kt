package org.fedrela.vectors

import org.fedrela.client.secure.keepSession
import org.fedrela.client.secure.keptSession
import org.fedrela.client.storage.StateFolder
import org.fedrela.core.FedRelaError
import org.fedrela.core.IntegrityError
import org.fedrela.core.InvalidInput
import org.fedrela.core.json.Json
import org.fedrela.core.json.parse
import org.fedrela.core.json.writeJson
import org.fedrela.core.secure.Agreements
import org.fedrela.core.secure.Block
import org.fedrela.core.secure.Extras
import org.fedrela.core.secure.Inbox
import org.fedrela.core.secure.Layout
import org.fedrela.core.secure.Ledger
import org.fedrela.core.secure.Member
import org.fedrela.core.secure.Roster
import org.fedrela.core.secure.Secrets
import org.fedrela.core.secure.Survivors
import org.fedrela.core.secure.Terms
import org.fedrela.core.secure.agree
import org.fedrela.core.secure.agreements
import org.fedrela.core.secure.applyPad
import org.fedrela.core.secure.entered
import org.fedrela.core.secure.inbox
import org.fedrela.core.secure.mask
import org.fedrela.core.secure.offered
import org.fedrela.core.secure.ownKey
import org.fedrela.core.secure.pairKey
import org.fedrela.core.secure.readSecureStep
import org.fedrela.core.secure.reveal
import org.fedrela.core.secure.roster
import org.fedrela.core.secure.secureJson
import org.fedrela.core.secure.share
import org.fedrela.core.secure.survivors
import org.fedrela.core.secure.vectorOf
import org.fedrela.core.tensors.IntTensor
import org.fedrela.core.tensors.readTensors
import org.fedrela.core.trust.fromHex
import org.fedrela.core.trust.publicKeyOf
import org.fedrela.core.wire.EvaluationReport
import org.junit.jupiter.api.Assertions.assertArrayEquals
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.TestFactory
import org.junit.jupiter.api.io.TempDir
import java.io.File
import java.nio.file.Files

/** A whole session of ten with two losses: every message of every member, the sum, and what a member refuses. */
class SecureSessionTest {
    @TempDir
    lateinit var temporary: File

    private val document = Vectors.json("secure/session.json")
    private val told = roster.parse(body(document["roster"]))
    private val left = survivors.parse(body(document["told_survivors"]))
    private val agreed = agreements.parse(body(document["told_agreements"]))
    private val liedTo = document["members"].items[document["member"].int - 1]

    private fun body(message: Json) = writeJson(message)

    private fun text(message: Json) = writeJson(message).toString(Charsets.UTF_8)

    private fun words(values: Json) = values.longs.map { it.toInt() }.toIntArray()

    private fun key(member: Json) = member["identity_private_key"].text

    private fun offer(member: Json): Member {
        val terms = Terms(
            member["assignment_id"].text,
            work(document["work"]),
            member["population"].text,
            publicKeyOf(key(member)),
            smallestGroup = 5,
            fleet = "",
        )
        val secrets = member["secrets"]
        val drawn = Secrets(
            secrets["mask_key"].text,
            secrets["seal_key"].text,
            secrets["own_seed"].text,
            secrets["polynomials"].text,
        )
        return offered(terms, drawn, key(member))
    }

    /** A member as a device that was killed finds it again. */
    private fun restored(member: Member): Member {
        val folder = StateFolder(Files.createTempDirectory(temporary.toPath(), "state").toFile())
        keepSession(folder, member)
        return keptSession(folder, member.terms)!!
    }

    private fun assertSame(expected: Json, message: Json) = assertEquals(sorted(expected), sorted(message))

    private fun sorted(message: Json): String = when (message) {
        is Json.Members -> message.values.toSortedMap().map { "${it.key}:${sorted(it.value)}" }.toString()
        is Json.Items -> message.values.map(::sorted).toString()
        else -> text(message)
    }

    @TestFactory
    fun `a member says what the vectors say, killed after every step or not`() =
        tests(document["members"].items, { "member ${it["index"].int}" }) { values ->
            val member = offer(values)
            val key = key(values)
            assertEquals(told.member(values["index"].int).keys, member.keys)
            if (values["shares"].isNull) return@tests
            val shared = share(restored(member), told)
            assertSame(values["shares"], secureJson(shared.message))
            assertSame(values["shares"], secureJson(share(restored(shared.member), told).message))
            if (values["inbox"].isNull) return@tests
            val (boxes, vector) = inbox.parse(body(values["inbox"])) to words(values["vector"])
            val masked = mask(restored(shared.member), boxes, vector, key)
            val sent = readTensors(masked.message.body).tensors.getValue("masked") as IntTensor
            assertArrayEquals(words(values["masked"]), sent.values)
            assertSame(values["proof"], secureJson(masked.message.proof))
            val again = mask(restored(masked.member), boxes, vector, key)
            assertArrayEquals(masked.message.body, again.message.body)
            val signed = agree(restored(masked.member), left, key)
            assertSame(values["agreement"], secureJson(signed.message))
            val revealed = reveal(restored(signed.member), agreed)
            assertSame(values["reveal"], secureJson(revealed.message))
            val fewer = Agreements(agreed.session, emptyList())
            assertSame(values["reveal"], secureJson(reveal(restored(revealed.member), fewer).message))
        }

    @Test
    fun `the survivors' words without their own pads and those of the vanished are the sum`() {
        val (members, session) = document["members"].items to fromHex(document["session"].text)!!
        val survived = members.filter { it["index"].long in document["survivors"].longs }
        val vanished = members.filter { !it["shares"].isNull && it["masked"].isNull }
        val total = IntArray(document["sum"].items.size)
        for (member in survived) {
            words(member["masked"]).forEachIndexed { at, word -> total[at] += word }
            applyPad(total, ownKey(fromHex(member["secrets"]["own_seed"].text)!!, session), -1)
        }
        for (gone in vanished)
            for (member in survived) {
                val other = fromHex(told.member(member["index"].int).keys.maskKey)!!
                val pad = pairKey(fromHex(gone["secrets"]["mask_key"].text)!!, other, session)
                applyPad(total, pad, if (gone["index"].int < member["index"].int) 1 else -1)
            }
        assertArrayEquals(words(document["sum"]), total)
    }

    private val steps: Map<String, (Member, Json) -> Any> = linkedMapOf(
        "share" to { member, message -> share(member, roster.parse(body(message))) },
        "mask" to { member, message ->
            mask(member, inbox.parse(body(message)), words(liedTo["vector"]), key(liedTo))
        },
        "agree" to { member, message -> agree(member, survivors.parse(body(message)), key(liedTo)) },
        "reveal" to { member, message -> reveal(member, agreements.parse(body(message))) },
    )

    /** The member that is lied to, after the true messages of the steps before. */
    private fun before(step: String): Member {
        val known = steps.keys.indexOf(step)
        return offer(liedTo).copy(
            roster = told.takeIf { known > 0 },
            inbox = ownInbox.takeIf { known > 1 },
            survivors = left.takeIf { known > 2 },
        )
    }

    private val ownInbox: Inbox get() = inbox.parse(body(liedTo["inbox"]))

    @TestFactory
    fun `a member refuses what is not right`() =
        tests(document["refusals"].items, { "${it["step"].text}: ${it["name"].text}" }) { case ->
            val step = case["step"].text
            assertRefused<FedRelaError> { steps.getValue(step)(before(step), case["message"]) }
        }

    @Test
    fun `a second roster, inbox, vector or list of survivors ends a session`() {
        val (key, vector) = key(liedTo) to words(liedTo["vector"])
        assertRefused<IntegrityError> { share(before("mask"), Roster(told.threshold + 1, told.members)) }
        val masked = mask(before("mask"), ownInbox, vector, key).member
        val fewer = Inbox(ownInbox.session, ownInbox.sealed.drop(1))
        assertRefused<IntegrityError> { mask(masked, fewer, vector, key) }
        assertRefused<IntegrityError> { mask(masked, ownInbox, IntArray(vector.size) { vector[it] + 1 }, key) }
        val signed = agree(masked, left, key).member
        assertRefused<IntegrityError> { agree(signed, Survivors(left.session, left.proofs.drop(1)), key) }
    }

    @Test
    fun `a step that comes before the one it needs is refused`() {
        val messages = mapOf(
            "mask" to liedTo["inbox"],
            "agree" to document["told_survivors"],
            "reveal" to document["told_agreements"],
        )
        for ((step, message) in messages)
            assertRefused<IntegrityError> { steps.getValue(step)(before("share"), message) }
    }

    @TestFactory
    fun `a step is taken or refused as the document says`() =
        tests(Vectors.json("secure/messages.json")["cases"].items) { case ->
            val read = { readSecureStep(case.find("base64")?.base64 ?: case["body"].text.toByteArray()) }
            if (case["valid"].bool) read() else assertRefused<InvalidInput>(read)
        }

    @Test
    fun `a device masks once for a round, and twice at most from one checkpoint`() {
        val (one, two) = "ab".repeat(32) to "cd".repeat(32)
        val ledger = entered(Ledger(), "t", 3, one)
        for (round in listOf(2L, 3L)) assertRefused<IntegrityError> { entered(ledger, "t", round, two) }
        val twice = entered(ledger, "other", 1, one)
        assertRefused<IntegrityError> { entered(twice, "third", 1, one) }
        assertEquals(mapOf("t" to 4L, "other" to 1L), entered(twice, "t", 4, two).rounds)
    }

    @TestFactory
    fun `an update as whole numbers`() = Vectors.json("secure/fixed_point.json").let { vectors ->
        tests(vectors["encode"].items) { case ->
            val layout = vectors["layouts"][case["layout"].text]
            val blocks = layout["blocks"].items.map { Block(it["size"].int, it["clip_norm"].double) }
            val vector = vectorOf(
                Layout(blocks, layout["classes"].int, layout["largest_group"].int),
                case["blocks"].items.map(::floats),
                extras(case["extras"]),
                floats(case["uniforms"]),
            )
            assertArrayEquals(words(case["vector"]), vector)
        }
    }

    private fun floats(values: Json) = values.items.map { it.double.toFloat() }.toFloatArray()

    private fun extras(values: Json) = Extras(
        values["weight"].double,
        EvaluationReport(values["eval_loss"].double, values["eval_correct"].int, values["eval_examples"].int),
        values["histogram"].longs.map { it.toInt() },
    )
}

package org.fedrela.client

import okhttp3.OkHttpClient
import org.fedrela.client.consent.Offer
import org.fedrela.client.consent.readOffers
import org.fedrela.client.engine.EngineFactory
import org.fedrela.client.network.Api
import org.fedrela.client.network.Credentials
import org.fedrela.client.network.Transport
import org.fedrela.client.network.enroll
import org.fedrela.client.storage.Identity
import org.fedrela.client.storage.SentLog
import org.fedrela.client.storage.StateFolder
import org.fedrela.client.storage.enrolledIdentity
import org.fedrela.client.training.Conditions
import org.fedrela.client.training.ExampleSource
import org.fedrela.client.training.Surroundings
import org.fedrela.core.FedRelaError
import org.fedrela.core.InvalidInput
import org.fedrela.core.Refused
import org.fedrela.core.Unavailable
import org.fedrela.core.trust.parseLink

private const val LONGEST_PAUSE_SECONDS = 300.0 // between two attempts where the coordinator is away, or all fail
private const val MOST_DOUBLINGS = 16
private val FORGOTTEN = setOf(UNAUTHORIZED, 404, 410) // the coordinator has forgotten this device already

/**
 * The device's half of the walk; read [runOnce] first. Every call blocks: run them in a thread of your own, one at a
 * time. What leaves it is a [FedRelaError], and nothing else.
 *
 *     val client = DeviceClient(StateFolder(folder), source, listOf(OnnxRuntime(threads = 2)))
 *     client.enroll(link)
 *     val outcome = client.runOnce()
 *
 * `source` is asked anew for each assignment, so data may grow. `runtimes`: best first. `world.stop()` interrupts at
 * the next boundary between two batches; the state is kept.
 */
public class DeviceClient(
    private val folder: StateFolder,
    source: ExampleSource,
    private val runtimes: List<EngineFactory>,
    private val http: OkHttpClient = OkHttpClient(),
    settings: Settings = Settings(),
    conditions: () -> Conditions = { Conditions() },
    private val world: World = World(),
    onEvent: (Event) -> Unit = {},
) {
    private val around = Surroundings(folder, source, settings, conditions, world, onEvent)

    /** Everything that left the device, for its owner to read. */
    public val sent: SentLog = SentLog(folder)

    /** Who this device is; null before it has enrolled. */
    public fun identity(): Identity? = enrolledIdentity(folder)

    /**
     * What a link asks for: the open tasks, to be shown to the device's owner before [enroll]. Nothing is kept, and of
     * this device nothing is told. Throws InvalidInput, Refused (as for a link that has expired) or Unavailable.
     */
    public fun offers(link: String): List<Offer> {
        val parsed = parseLink(link)
        return Api(transport(parsed.url, null)).openTasks(parsed.token) { readOffers(it, parsed.publishers, runtimes) }
    }

    /** The open tasks of the coordinator that this device has joined. Throws as [runOnce] does. */
    public fun offers(): List<Offer> {
        val identity = enrolled()
        return Api(transport(identity)).openTasks(null) { readOffers(it, identity.publishers, runtimes) }
    }

    /**
     * Join the coordinator of a link. An enrollment that was cut off may be repeated. `secret` (32 bytes, hexadecimal):
     * what the device's random draws come from, for tests. Throws InvalidInput, IntegrityError, Refused or Unavailable.
     */
    public fun enroll(link: String, secret: String? = null): Identity = folder.locked {
        val parsed = parseLink(link)
        enroll(Api(transport(parsed.url, null)), folder, parsed, secret)
    }

    /**
     * One assignment: go on with the one that was interrupted, or check in; then train and upload. Throws [Unavailable]
     * where the coordinator is away (the assignment is kept), [Refused] with status 401 where it no longer knows this
     * device.
     */
    public fun runOnce(): Outcome = folder.locked {
        val identity = enrolled()
        Walk(identity, transport(identity), runtimes, around).runOnce()
    }

    /** Assignment after assignment until the world stops; ever less often while nobody answers or all of them fail. */
    public fun run(onOutcome: (Outcome) -> Unit = {}) {
        var away = 0
        var failed = 0
        while (!world.isStopped) {
            val outcome = try {
                runOnce().also { away = 0 }
            } catch (fault: Unavailable) {
                away += 1
                Outcome.Waiting(fault.problem, pauseSeconds(away))
            } catch (refusal: Refused) {
                if (refusal.status == UNAUTHORIZED) throw refusal
                away += 1
                Outcome.Waiting(refusal.problem, pauseSeconds(away))
            }
            if (outcome is Outcome.Uploaded) failed = 0
            if (outcome is Outcome.Dropped) failed += 1
            onOutcome(outcome)
            when (outcome) {
                is Outcome.Waiting -> world.sleep(outcome.retryAfterSeconds)
                is Outcome.Dropped -> world.sleep(pauseSeconds(failed))
                else -> Unit
            }
        }
    }

    /**
     * Tell the coordinator to forget this device, then delete everything. Throws [Unavailable] where it can't be told.
     */
    public fun leave() {
        folder.locked {
            val identity = identity() ?: return@locked
            try {
                Api(transport(identity)).leave()
            } catch (refusal: Refused) {
                if (refusal.status !in FORGOTTEN) throw refusal
            }
        }
        folder.clear()
    }

    private fun enrolled(): Identity =
        identity() ?: throw InvalidInput("this device has not enrolled yet", "call enroll(link)")

    private fun transport(identity: Identity) =
        transport(identity.url, Credentials(identity.deviceToken, identity.privateKey))

    private fun transport(url: String, credentials: Credentials?) =
        Transport(http, url, credentials, world) { sent.add(world.now(), it.method, it.path, it.body) }

    /** Seconds before the next attempt after so many that failed. */
    private fun pauseSeconds(attempts: Int): Double =
        minOf(LONGEST_PAUSE_SECONDS, (1 shl minOf(attempts, MOST_DOUBLINGS)).toDouble()) * (0.5 + 0.5 * world.uniform())
}

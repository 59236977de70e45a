package org.fedrela.android

import android.content.Context
import android.net.Network
import okhttp3.OkHttpClient
import org.fedrela.client.DeviceClient
import org.fedrela.client.Event
import org.fedrela.client.Settings
import org.fedrela.client.World
import org.fedrela.client.consent.Offer
import org.fedrela.client.engine.EngineFactory
import org.fedrela.client.storage.Identity
import org.fedrela.client.storage.SentLog
import org.fedrela.client.storage.StateFolder
import org.fedrela.client.storage.enrolledIdentity
import org.fedrela.client.training.ExampleSource
import org.fedrela.core.Unavailable
import java.io.File
import java.util.concurrent.Executor
import java.util.concurrent.locks.ReentrantLock
import kotlin.concurrent.withLock

private const val AT_WORK_SECONDS = 60.0 // until somebody looks again whether the other stretch has ended

/** What an app's Application implements: there a job finds the device, in a process that was started anew. */
public interface FedrelaHost {
    public val fedrela: Fedrela
}

/**
 * The device that an app is, with its folder, its key and its jobs. Make one, in the app's Application; see
 * [FedrelaHost].
 *
 *     class App : Application(), FedrelaHost {
 *         override val fedrela by lazy { Fedrela(this, pictures, { listOf(OnnxRuntime(threads = 2)) }) }
 *     }
 *
 * [offers], [enroll], [leave] and [work] block: call them in a thread of your own. What they throw is an
 * [org.fedrela.core.FedRelaError]: [Unavailable] before the phone was first unlocked after its start, too.
 * `runtimes`, best first, is asked once telemetry is off. `schedule`: null for an app that calls [work] by itself, as
 * WorkManager's worker does. `http` lends its connections, proxy and trust.
 */
public class Fedrela(
    context: Context,
    private val source: ExampleSource,
    private val runtimes: () -> List<EngineFactory>,
    private val settings: Settings = Settings(),
    schedule: Schedule? = Schedule(),
    private val http: OkHttpClient = OkHttpClient(),
) {
    private val context = context.applicationContext ?: context // which is null while an Application is made
    private val jobs = schedule?.let { Jobs(this.context, it) }
    private val watchers = Watchers()
    private val turn = ReentrantLock() // of whoever works, or leaves

    @Volatile
    private var working: World? = null

    private val opened by lazy { StateFolder(File(this.context.noBackupFilesDir, "fedrela"), KeystoreVault()) }

    private val folder: StateFolder
        get() {
            checkUnlocked(context)
            return opened
        }

    /** Who this device is; null where it has not enrolled. */
    public val identity: Identity? get() = enrolledIdentity(folder)

    /** Everything that left the device, for its owner to read. */
    public val sent: SentLog get() = SentLog(folder)

    /** How things stand. */
    public fun status(): Status {
        val record = loadRecord(folder)
        val isScheduled = jobs?.isScheduled ?: false
        return Status(identity, record.isPaused, working != null, isScheduled, watchers.newest, record.last)
    }

    /** Hear of progress, by way of `executor`, until what is returned is closed. */
    public fun watch(executor: Executor, listener: (Event) -> Unit): AutoCloseable =
        watchers.add(executor, listener)

    /** What a link asks for, to be shown to the owner before [enroll]; of this device nothing is told. */
    public fun offers(link: String): List<Offer> = client(androidWorld()).offers(link)

    /** The open tasks of the coordinator that this device has joined. */
    public fun offers(): List<Offer> = client(androidWorld()).offers()

    /** Join the coordinator of a link, and work from now on whenever the schedule allows it. */
    public fun enroll(link: String): Identity {
        val identity = turn.withLock { client(androidWorld()).enroll(link) }
        schedule()
        return identity
    }

    /** See that a job is waiting, where this device has enrolled and is not paused. Call it at the app's start. */
    public fun schedule() {
        if (jobs != null && !jobs.isScheduled && mayWork()) jobs.schedule(0.0)
    }

    /** Work no more until [resume]: what is under way stops between two batches, and is kept. */
    public fun pause() {
        changeRecord(folder) { it.copy(isPaused = true) }
        stop()
    }

    /** Work again whenever the schedule allows it. */
    public fun resume() {
        changeRecord(folder) { it.copy(isPaused = false) }
        schedule()
    }

    /** Have the coordinator forget this device, and delete everything but the app's own data, keys included. */
    public fun leave() {
        stop()
        turn.withLock { client(androidWorld()).leave() }
    }

    /**
     * Assignment after assignment until there is nothing to do, or `world` is stopped: what a job does. `network`: the
     * one to use; null for the default. The seconds after which it is worth calling again; null where it is not.
     */
    public fun work(world: World = androidWorld(), network: Network? = null): Double? {
        if (!turn.tryLock()) return AT_WORK_SECONDS
        try {
            working = world
            return worked(folder, client(world, network), world)
        } finally {
            working = null
            turn.unlock()
        }
    }

    /** Schedule the job that follows, unless the owner has paused or left meanwhile. */
    internal fun workAfter(seconds: Double, job: Int) {
        if (mayWork()) jobs?.schedule(seconds, job)
    }

    private fun mayWork() = identity != null && !loadRecord(folder).isPaused

    private fun stop() {
        jobs?.cancel()
        working?.stop()
    }

    private fun client(world: World, network: Network? = null): DeviceClient {
        disableTelemetry()
        val folder = folder
        return DeviceClient(
            folder, source, runtimes(), http.over(network), settings, Sensors(context)::read, world, watchers::tell,
        )
    }
}

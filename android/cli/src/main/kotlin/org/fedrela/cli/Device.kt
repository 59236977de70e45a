package org.fedrela.cli

import org.fedrela.client.DeviceClient
import org.fedrela.client.Event
import org.fedrela.client.Outcome
import org.fedrela.client.Settings
import org.fedrela.client.World
import org.fedrela.client.consent.trafficOf
import org.fedrela.client.engine.EngineFactory
import org.fedrela.client.storage.StateFolder
import org.fedrela.client.training.ExampleSource
import org.fedrela.client.training.Examples
import org.fedrela.core.tensors.longs
import org.fedrela.core.tensors.readTensors
import org.fedrela.onnx.OnnxRuntime
import java.io.File
import java.util.Locale

private const val NOTHING_LEFT_SECONDS = 3600.0 // whoever is told to wait that long has nothing left to do

/** A device until the coordinator says that nothing is left to do. */
internal fun runDevice(options: Options) {
    val world = World(hurry = options.optional("hurry")?.toDouble() ?: 1.0)
    val client = client(options, world)
    if (client.identity() == null) client.enroll(options["link"], options.optional("secret"))
    client.run { outcome ->
        if (outcome is Outcome.Waiting && outcome.retryAfterSeconds >= NOTHING_LEFT_SECONDS) world.stop()
    }
}

/** One assignment, or one wait, in a word. */
internal fun runOnce(options: Options): String {
    val client = client(options, World())
    if (client.identity() == null) client.enroll(options["link"], options.optional("secret"))
    return when (val outcome = client.runOnce()) {
        is Outcome.Uploaded -> "uploaded ${outcome.round}"
        is Outcome.Waiting -> "waiting ${outcome.reason}"
        is Outcome.Dropped -> "dropped ${outcome.code}: ${outcome.problem}"
        is Outcome.Stopped -> "stopped"
    }
}

/** A line for each open task of a link: name, mode, bytes of an update, bytes for its group, publisher. */
internal fun offers(options: Options): List<String> {
    val runtime = OnnxRuntime()
    return untrained(options, listOf(runtime)).offers(options["link"]).map { offer ->
        val traffic = trafficOf(offer, "${runtime.name} ${runtime.version}")
        val mode = if (offer.task.privacy.isSecure) "secure" else "plain"
        "${offer.name} $mode ${traffic.update} ${traffic.group} ${offer.publisher}"
    }
}

/** Enrollment alone. */
internal fun enroll(options: Options) {
    client(options, World()).enroll(options["link"], options.optional("secret"))
}

internal fun leave(options: Options) {
    untrained(options, emptyList()).leave()
}

private fun untrained(options: Options, runtimes: List<EngineFactory>) =
    DeviceClient(StateFolder(File(options["state"])), { error("nothing is trained") }, runtimes)

private fun client(options: Options, world: World) = DeviceClient(
    StateFolder(File(options["state"])),
    source(File(options["data"])),
    runtimes(options),
    settings = Settings(checkpointSteps = options.optional("checkpoint-steps")?.toInt() ?: Settings().checkpointSteps),
    world = world,
    onEvent = ::say,
)

/** Every tensor of a file but `y` is an input by its name, with or without an `x.` before it. */
private fun source(file: File) = ExampleSource {
    val tensors = readTensors(file.readBytes()).tensors
    Examples((tensors - "y").mapKeys { it.key.removePrefix("x.") }, tensors.longs("y"))
}

/** A line for each event, so that whoever reads along can kill this process in between. */
private fun say(event: Event) {
    when (event.kind) {
        Event.Kind.STEP -> println("step ${event.step} of ${event.steps}")
        Event.Kind.GROUP -> println("group: ${event.detail}")
        else -> println(event.kind.name.lowercase(Locale.ROOT))
    }
    System.out.flush()
}

package org.fedrela.cli

import org.fedrela.core.FedRelaError
import kotlin.system.exitProcess

private const val USAGE = """
run --link LINK --state FOLDER --data FILE --secret HEX [--hurry N]   a device: enroll unless enrolled, then work
once --link LINK --state FOLDER --data FILE [--secret HEX]            one assignment, or one wait
offers --link LINK --state FOLDER                                     what a link asks for, before anybody joins
enroll --link LINK --state FOLDER --data FILE [--secret HEX]          enrollment alone
leave --state FOLDER                                                  the coordinator and this machine forget the device
verdicts                                                              verdicts on bodies, for the differential test
steps --bundle FOLDER --batch FILE                                    times of steps, for benchmarks.step.android

run and once: --runtime executorch --python FILE --server FILE        on ExecuTorch's Python runtime, for tests
"""

/** The client as a command: see the usage above. */
public fun main(arguments: Array<String>) {
    val options = Options(arguments.drop(1))
    try {
        when (arguments.firstOrNull()) {
            "run" -> runDevice(options)
            "once" -> println(runOnce(options))
            "offers" -> offers(options).forEach(::println)
            "enroll" -> enroll(options)
            "leave" -> leave(options)
            "steps" -> answerSteps(options)
            "verdicts" -> answerVerdicts()
            else -> exitWith(USAGE.trim())
        }
    } catch (fault: FedRelaError) {
        exitWith(fault.message.orEmpty())
    }
}

/** Words of a command line: names and their values in turn. */
internal class Options(words: List<String>) {
    private val values = words.chunked(2).associate { it[0].removePrefix("--") to it.getOrElse(1) { "" } }

    operator fun get(name: String): String = values[name] ?: exitWith("--$name is missing")

    fun optional(name: String): String? = values[name]
}

internal fun exitWith(message: String): Nothing {
    System.err.println(message)
    exitProcess(1)
}

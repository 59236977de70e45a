package org.fedrela.core.task

import org.fedrela.core.json.Fields
import org.fedrela.core.json.Json
import org.fedrela.core.json.Read
import org.fedrela.core.json.bool
import org.fedrela.core.json.choice
import org.fedrela.core.json.features
import org.fedrela.core.json.intFrom
import org.fedrela.core.json.limited
import org.fedrela.core.json.matching
import org.fedrela.core.json.members
import org.fedrela.core.json.natural
import org.fedrela.core.json.parse
import org.fedrela.core.json.plainName
import org.fedrela.core.json.real
import org.fedrela.core.json.realAbove
import org.fedrela.core.json.realBelow
import org.fedrela.core.json.realFrom
import org.fedrela.core.json.requireInput
import org.fedrela.core.json.tableOf
import org.fedrela.core.json.version
import java.math.BigInteger

private const val MILLION = 1_000_000
private const val BILLION = 1_000_000_000
private const val LONGEST_SECONDS = 4_294_967_296.0
private const val TIME = "(?:[01][0-9]|2[0-3]):[0-5][0-9]"

private val upToMillion = intFrom(0, MILLION)
private val oneToMillion = intFrom(1, MILLION)
private val factor = realAbove(0.0, MILLION.toDouble())
private val seconds = realAbove(0.0, LONGEST_SECONDS)
private val phaseSeconds = realFrom(0.0, 86_400.0)
private val groupSize = intFrom(5, 64)
private val lrSchedule = choice(LrSchedule.entries.associateBy { it.word })
private val mode = choice("synchronous", "asynchronous")

/** Read a task. Throws [org.fedrela.core.InvalidInput] naming the key at fault. */
public fun readTask(body: ByteArray): Task = members { task(it) }.parse(body).also(::checkCombinations)

// The defaults are the protocol's: what a value is where it isn't there. They never change.
private fun task(fields: Fields) = Task(
    name = fields.required("name", plainName),
    rounds = fields.required("rounds", oneToMillion),
    population = fields.optional("population", plainName, "default"),
    seed = fields.optional("seed", seed, BigInteger.ZERO),
    localEvaluation = fields.optional("local_evaluation", bool, false),
    local = fields.section("local", members { local(it) }),
    relabel = fields.section("relabel", members { relabel(it) }),
    round = fields.section("round", members { round(it) }),
    aggregation = fields.section("aggregation", members { aggregation(it) }),
    eligibility = fields.section("eligibility", members { eligibility(it) }),
    privacy = fields.section("privacy", members { privacy(it) }),
    requires = fields.optional("requires", features, emptyList()),
)

private fun local(fields: Fields) = Local(
    epochs = fields.optional("epochs", intFrom(1, 10_000), 5),
    batchSize = fields.optional("batch_size", oneToMillion, 8),
    hyperparameters = fields.optional("hyperparameters", tableOf(real, 100), emptyMap()),
    maxSteps = fields.optional("max_steps", intFrom(0, BILLION), 0),
    sampling = fields.optional("sampling", choice(Sampling.entries.associateBy { it.word }), Sampling.SHUFFLE),
    synthesis = fields.optional("synthesis", choice(Synthesis.entries.associateBy { it.word }), Synthesis.NONE),
    lrSchedule = fields.optional("lr_schedule", lrSchedule, LrSchedule.CONSTANT),
)

private fun relabel(fields: Fields) = Relabel(
    enabled = fields.optional("enabled", bool, true),
    start = fields.optional("start", start, Start.AtShare(0.8)),
    period = fields.optional("period", upToMillion, 0),
    thresholdPercent = fields.optional("threshold_percent", realFrom(0.0, 100.0), 5.0),
    passes = fields.optional("passes", intFrom(1, 1000), 5),
    lrScale = fields.optional("lr_scale", factor, 0.1),
)

/**
 * Most of this is the coordinator's business; it is read all the same, so that every client refuses a malformed task.
 */
private fun round(fields: Fields): RoundRules {
    fields.optional("over_selection", realFrom(1.0, 100.0), 1.0)
    fields.optional("compute_lease_seconds", seconds, 300.0)
    fields.optional("retries", intFrom(0, 1000), 3)
    fields.optional("retry_after_seconds", realAbove(0.0, 86_400.0), 1.0)
    fields.optional("concurrency", upToMillion, 0)
    fields.optional("max_staleness", upToMillion, 20)
    fields.optional("staleness_exponent", realFrom(0.0, 100.0), 0.5)
    return RoundRules(
        isAsynchronous = fields.optional("mode", mode, "synchronous") == "asynchronous",
        goal = fields.optional("goal", oneToMillion, 10),
        minimum = fields.optional("minimum", oneToMillion, 1),
        smallestCohort = fields.optional("smallest_cohort", oneToMillion, 1),
        deadlineSeconds = fields.optional("deadline_seconds", seconds, 600.0),
        uploadLeaseSeconds = fields.optional("upload_lease_seconds", seconds, 60.0),
    )
}

private fun aggregation(fields: Fields): Aggregation {
    fields.optional("clip_norm", realFrom(0.0, 1e30), 0.0)
    fields.optional("trim_fraction", realBelow(0.0, 0.5), 0.2)
    fields.optional("byzantine_fraction", realBelow(0.0, 0.5), 0.2)
    fields.optional("server_optimizer", choice("fedavg", "fedavgm", "fedadam", "fedyogi"), "fedavg")
    fields.optional("server_lr", factor, 1.0)
    fields.optional("server_momentum", realBelow(0.0, 1.0), 0.9)
    fields.optional("server_beta2", realBelow(0.0, 1.0), 0.99)
    fields.optional("server_epsilon", factor, 1e-3)
    return Aggregation(
        rule = fields.optional("rule", choice("mean", "median", "trimmed-mean", "multi-krum"), "mean"),
        encoding = fields.optional("encoding", choice(Encoding.entries.associateBy { it.word }), Encoding.FLOAT32),
        topKFraction = fields.optional("top_k_fraction", realAbove(0.0, 1.0), 0.1),
        weighByExamples = fields.optional("weight_by_examples", bool, true),
        maxExamples = fields.optional("max_examples", intFrom(1, BILLION), 10_000),
    )
}

private fun privacy(fields: Fields) = Privacy(
    isSecure = fields.optional("secure", choice("none", "peers"), "none") == "peers",
    groupTarget = fields.optional("group_target", groupSize, 16),
    groupMinimum = fields.optional("group_minimum", groupSize, 14),
    gatherSeconds = fields.optional("gather_seconds", phaseSeconds, 30.0),
    phaseSeconds = fields.optional("phase_seconds", phaseSeconds, 20.0),
    clipNorm = fields.optional("clip_norm", factor, 64.0),
    statisticsClipNorm = fields.optional("statistics_clip_norm", factor, 1024.0),
    clippedShare = fields.optional("clipped_share", realBelow(0.0, 1.0), 0.0),
)

private fun eligibility(fields: Fields): Eligibility {
    fields.optional("min_client_versions", clientVersions, emptyMap())
    fields.optional("max_client_versions", clientVersions, emptyMap())
    fields.optional("device_fraction", realAbove(0.0, 1.0), 1.0)
    fields.optional("min_separation_seconds", realFrom(0.0, LONGEST_SECONDS), 0.0)
    return readEligibility(fields)
}

/** What a device itself looks at. */
internal fun readEligibility(fields: Fields) = Eligibility(
    minBatteryPercent = fields.optional("min_battery_percent", realFrom(0.0, 100.0), 0.0),
    requireUnmeteredNetwork = fields.optional("require_unmetered_network", bool, false),
    maxCpuCelsius = fields.optional("max_cpu_celsius", realFrom(0.0, 1000.0), 0.0),
    refuseWhenThrottled = fields.optional("refuse_when_throttled", bool, false),
    maxLoadPerCore = fields.optional("max_load_per_core", realFrom(0.0, 1000.0), 0.0),
    minFreeDiskBytes = fields.optional("min_free_disk_bytes", natural, 0L),
    minFreeMemoryBytes = fields.optional("min_free_memory_bytes", natural, 0L),
    minExamples = fields.optional("min_examples", intFrom(1, BILLION), 1),
    hours = fields.optional("hours", hours, ""),
)

private val start: Read<Start> = { value, path ->
    if (value is Json.Whole) Start.AtRound(oneToMillion(value, path)) else Start.AtShare(startShare(value, path))
}
private val startShare = limited(real, "use a round >= 1 or a share between 0 and 1") { it > 0 && it < 1 }

// A text holds what is larger than any JSON reader keeps.
private val seedText = matching("0|[1-9][0-9]{0,99}", "1 to 100 digits without a leading zero")
private val seed: Read<BigInteger> = { value, path ->
    if (value is Json.Text) BigInteger(seedText(value, path)) else BigInteger.valueOf(natural(value, path))
}
private val hours = limited(matching("|$TIME-$TIME", "a time such as \"22:00-06:00\""), "leave it empty for any time") {
    it.isEmpty() || it.substringBefore('-') != it.substringAfter('-')
}
private val clientVersions = tableOf(version, 20, matching("[a-z][a-z0-9-]{0,31}", "a client's name, or any"))

/** What no field shows by itself. */
private fun checkCombinations(task: Task) {
    requireInput(
        task.local.lrSchedule == LrSchedule.CONSTANT || LR_SCHEDULE in task.requires,
        "local.lr_schedule is set, which older clients would overlook",
        "add \"$LR_SCHEDULE\" to requires",
    )
    requireInput(
        task.local.synthesis != Synthesis.SMOTE || task.local.sampling == Sampling.CLASS_BALANCED,
        "local.synthesis \"smote\" fills up minorities, and local.sampling \"shuffle\" leaves them small",
        "set local.sampling = \"class-balanced\"",
    )
    requireInput(
        !task.relabel.enabled || startRound(task.relabel, task.rounds) <= task.rounds,
        "relabel.start lies after the last round ${task.rounds}",
        "start earlier, run more rounds, or set relabel.enabled = false",
    )
    val round = task.round
    requireInput(round.minimum <= round.goal, "round.minimum is above round.goal", "choose 1 <= minimum <= goal")
    requireInput(round.smallestCohort <= round.goal, "round.smallest_cohort is above round.goal", "choose a smaller")
    requireInput(
        task.privacy.groupMinimum <= task.privacy.groupTarget,
        "privacy.group_minimum is above privacy.group_target",
        "choose minimum <= target",
    )
    requireInput(
        !round.isAsynchronous || task.aggregation.rule == "mean",
        "aggregation.rule needs a whole cohort at once",
        "use round.mode = \"synchronous\" or aggregation.rule = \"mean\"",
    )
}

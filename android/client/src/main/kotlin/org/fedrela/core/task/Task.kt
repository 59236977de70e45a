package org.fedrela.core.task

import java.math.BigInteger

/** Everything a round depends on, as the coordinator sends it. The protocol's pages say what every field means. */
public class Task(
    public val name: String,
    public val rounds: Int,
    public val population: String,
    public val seed: BigInteger,
    public val localEvaluation: Boolean,
    public val local: Local,
    public val relabel: Relabel,
    public val round: RoundRules,
    public val aggregation: Aggregation,
    public val eligibility: Eligibility,
    public val privacy: Privacy,
    public val requires: List<String>,
)

public enum class Sampling(public val word: String) { SHUFFLE("shuffle"), CLASS_BALANCED("class-balanced") }

public enum class Synthesis(public val word: String) { NONE("none"), MIXUP("mixup"), SMOTE("smote") }

public class Local(
    public val epochs: Int,
    public val batchSize: Int,
    public val hyperparameters: Map<String, Double>,
    public val maxSteps: Int,
    public val sampling: Sampling,
    public val synthesis: Synthesis,
    public val lrSchedule: LrSchedule,
)

/** A share written as 0.8 and a round written as 17 mean different things, so the two are kept apart. */
public sealed interface Start {
    public class AtRound(public val round: Int) : Start
    public class AtShare(public val share: Double) : Start
}

public class Relabel(
    public val enabled: Boolean,
    public val start: Start,
    public val period: Int,
    public val thresholdPercent: Double,
    public val passes: Int,
    public val lrScale: Double,
)

/** What a device must know of the coordinator's half of a round: how the two fit together. */
public class RoundRules(
    public val isAsynchronous: Boolean,
    public val goal: Int,
    public val minimum: Int,
    public val smallestCohort: Int,
    public val deadlineSeconds: Double,
    public val uploadLeaseSeconds: Double,
)

public enum class Encoding(public val word: String) {
    FLOAT32("float32"),
    FLOAT16("float16"),
    INT8("int8"),
    TOP_K("top-k"),
}

public class Aggregation(
    public val rule: String,
    public val encoding: Encoding,
    public val topKFraction: Double,
    public val weighByExamples: Boolean = true,
    public val maxExamples: Int = 10_000,
)

/** Whether updates are summed within groups of devices, so that nobody sees a single one, and how. */
public class Privacy(
    public val isSecure: Boolean,
    public val groupTarget: Int,
    public val groupMinimum: Int,
    public val gatherSeconds: Double,
    public val phaseSeconds: Double,
    public val clipNorm: Double,
    public val statisticsClipNorm: Double,
    public val clippedShare: Double = 0.0,
)

/** Conditions of the task, or of the device's owner; 0 and empty mean: no limit. */
public class Eligibility(
    public val minBatteryPercent: Double = 0.0,
    public val requireUnmeteredNetwork: Boolean = false,
    public val maxCpuCelsius: Double = 0.0,
    public val refuseWhenThrottled: Boolean = false,
    public val maxLoadPerCore: Double = 0.0,
    public val minFreeDiskBytes: Long = 0,
    public val minFreeMemoryBytes: Long = 0,
    public val minExamples: Int = 1,
    public val hours: String = "",
)

/** The first round (from 1) that trains on re-labels. */
public fun startRound(relabel: Relabel, rounds: Int): Int = when (val start = relabel.start) {
    is Start.AtRound -> start.round
    is Start.AtShare -> Math.floor(start.share * rounds).toInt() + 1
}

/** Which re-labeling a round trains on: 0 before the start, 1 from it on, one more after each period. */
public fun generation(task: Task, round: Long): Int {
    val since = round - startRound(task.relabel, task.rounds)
    if (!task.relabel.enabled || since < 0) return 0
    return 1 + if (task.relabel.period > 0) (since / task.relabel.period).toInt() else 0
}

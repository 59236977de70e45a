package org.fedrela.core.program

import org.fedrela.core.tensors.TensorSpec

public enum class DataKind(public val word: String) { IMAGE("image"), TABULAR("tabular"), TOKENS("tokens"), RAW("raw") }

/** How a picture of another size is made to fit. */
public enum class Fit(public val word: String) { EXACT("exact"), STRETCH("stretch"), CROP("crop"), PAD("pad") }

public data class Preprocessing(public val kind: DataKind, public val grayscale: Boolean, public val fit: Fit)

/** Fixed inputs, on which every runtime must give the recorded outputs. */
public class GoldenSteps(
    public val path: String,
    public val sha256: String,
    public val sizeBytes: Int,
    public val seed: Long,
    public val steps: Int,
    public val batch: Int,
    public val tokenLimit: Int,
    public val tolerance: Double,
)

/** The manifest of a bundle: what every program takes and gives, with hashes and sizes. */
public class Manifest(
    public val name: String,
    public val classes: Int,
    public val classNames: List<String>,
    public val programs: Map<ProgramName, Program>,
    public val golden: GoldenSteps,
    public val hyperparameters: Map<String, Double>,
    public val preprocessing: Preprocessing,
    public val requires: List<String>,
) {
    public val trainStep: Program get() = programs.getValue(ProgramName.TRAIN_STEP)
    public val predict: Program get() = programs.getValue(ProgramName.PREDICT)
    public val relabel: Program get() = programs.getValue(ProgramName.RELABEL)

    /** What travels up as an update: the parameters, in order. */
    public val parameters: List<TensorSpec> get() = specs(Role.PARAMETER)

    /** The tensors of a global model: parameters and buffers, in train_step's order. */
    public val weights: List<TensorSpec> get() = specs(Role.PARAMETER, Role.BUFFER)

    /** What a training state carries. */
    public val carried: List<TensorSpec> get() = specs(Role.PARAMETER, Role.BUFFER, Role.OPTIMIZER)

    /** Those of the weights that training counts and no gradient moves: they travel whole. */
    public val statistics: Set<String> get() = specs(Role.BUFFER).map { it.name }.toSet()

    private fun specs(vararg roles: Role): List<TensorSpec> =
        trainStep.inputs(*roles).map { TensorSpec(it.name, sized(it.shape), it.dtype) }
}

package org.fedrela.core.program

import org.fedrela.core.InvalidInput
import org.fedrela.core.tensors.Dtype

public enum class ProgramName(public val word: String) {
    TRAIN_STEP("train_step"),
    PREDICT("predict"),
    RELABEL("relabel"),
}

public enum class Role(public val word: String) {
    PARAMETER("parameter"),
    BUFFER("buffer"),
    OPTIMIZER("optimizer"),
    ANCHOR("anchor"),
    X("x"),
    Y("y"),
    WEIGHT("weight"),
    HYPERPARAMETER("hyperparameter"),
    RANDOM("random"),
    CLASS_PRIOR("class_prior"),
    PROBABILITIES("probabilities"),
    LABELS("labels"),
    UNIFORMS("uniforms"),
    THRESHOLD_PERCENT("threshold_percent"),
    ;

    /** Whether a training state carries it from step to step. */
    public val isCarried: Boolean get() = this <= OPTIMIZER
}

/** A dimension of a shape: a number of elements, or a name for what changes from call to call. */
public sealed interface Dimension {
    public data class Size(val elements: Int) : Dimension
    public data class Named(val name: String) : Dimension
}

public data class ProgramInput(val name: String, val role: Role, val shape: List<Dimension>, val dtype: Dtype)

public class ProgramFile(
    public val runtime: String,
    public val path: String,
    public val sha256: String,
    public val sizeBytes: Int,
    public val minRuntimeVersion: String,
    public val maxBatch: Int,
)

/** What a program takes and gives, and its file for each runtime. */
public class Program(
    public val inputs: List<ProgramInput>,
    public val outputs: List<String>,
    public val files: List<ProgramFile>,
) {
    /** The inputs that have one of `roles`, in order. */
    public fun inputs(vararg roles: Role): List<ProgramInput> = inputs.filter { it.role in roles }

    /** The file for a runtime, if there is one. */
    public fun file(runtime: String): ProgramFile? = files.find { it.runtime == runtime }
}

/** The shape with its names filled in. Throws [InvalidInput] for a name that `sizes` doesn't hold. */
public fun sized(shape: List<Dimension>, sizes: Map<String, Int> = emptyMap()): List<Int> = shape.map { dimension ->
    when (dimension) {
        is Dimension.Size -> dimension.elements
        is Dimension.Named -> sizes[dimension.name]
            ?: throw InvalidInput("the dimension ${dimension.name} has no size", "export the model again")
    }
}

package org.fedrela.client.engine

import org.fedrela.core.program.Manifest
import org.fedrela.core.program.ProgramName
import org.fedrela.core.tensors.Tensors

/** A runtime of this device. `name`: as the manifest's files say it; `version`: the installed one, such as "1.28.0". */
public interface EngineFactory {
    public val name: String
    public val version: String

    /**
     * The engine of a bundle; `programs` are the verified bytes of its files. Throws [org.fedrela.core.NotEligible]
     * where the runtime can't load one, or where it holds what no device may load.
     */
    public fun open(manifest: Manifest, programs: Map<ProgramName, ByteArray>): Engine
}

/**
 * Runs the three programs of one bundle, in one thread at a time. Whatever fails inside of the runtime is
 * [org.fedrela.core.ProgramFailed].
 */
public interface Engine : AutoCloseable {
    public val manifest: Manifest

    /** One program on raw inputs, outputs by name. */
    public fun run(program: ProgramName, inputs: Tensors): Tensors

    /** A training state of what is carried from step to step, and of the inputs that are the same in each. */
    public fun train(carried: Tensors, fixed: Tensors): TrainingState
}

/** Parameters, buffers and the optimizer's state inside of a runtime. */
public interface TrainingState : AutoCloseable {
    /** One step, in place; `inputs` are those that change with it. */
    public fun step(inputs: Tensors): StepTotals

    /** A copy of what is carried, in the manifest's order. */
    public fun carried(): Tensors
}

/** Sums over one batch: weighted losses, weighted correct answers (before the step), weights. */
public class StepTotals(public val lossSum: Float, public val correctSum: Float, public val weightSum: Float)

package org.fedrela.executorch

import org.fedrela.core.ProgramFailed
import org.fedrela.core.program.CORRECT_SUM
import org.fedrela.core.program.Dimension
import org.fedrela.core.program.LOSS_SUM
import org.fedrela.core.program.Manifest
import org.fedrela.core.program.ProgramInput
import org.fedrela.core.program.ProgramName
import org.fedrela.core.program.WEIGHT_SUM
import org.fedrela.core.program.sized
import org.fedrela.core.tensors.Dtype
import org.fedrela.core.tensors.Tensor
import org.fedrela.core.tensors.TensorSpec
import org.fedrela.core.tensors.Tensors

// What goes into a program and what comes out of it, by position: the runtime knows no names, so a tensor in another's
// place is told by its type and shape or not at all.

/** Whether it has a row for each example of a call. */
internal val ProgramInput.isOpen: Boolean get() = shape.firstOrNull() is Dimension.Named

/** What a program gives for so many examples, in the manifest's order. */
internal fun outputsOf(manifest: Manifest, program: ProgramName, samples: Int): List<TensorSpec> = when (program) {
    ProgramName.TRAIN_STEP ->
        manifest.carried.map { TensorSpec("new.${it.name}", it.shape) } +
            listOf(LOSS_SUM, CORRECT_SUM, WEIGHT_SUM).map { TensorSpec(it, emptyList()) }
    ProgramName.PREDICT -> listOf(TensorSpec("probabilities", listOf(samples, manifest.classes)))
    ProgramName.RELABEL ->
        listOf(TensorSpec("new_labels", listOf(samples), Dtype.INT64), TensorSpec("flip_rate", listOf(samples)))
}

/** The outputs by name. Throws [ProgramFailed] for others than `expected`. */
internal fun named(program: ProgramName, expected: List<TensorSpec>, outputs: List<Tensor>): Tensors {
    if (outputs.size != expected.size)
        throw unfit(program, "gives ${outputs.size} tensors in place of ${expected.size}")
    for ((spec, tensor) in expected.zip(outputs))
        if (!tensor.isLike(spec.shape, spec.dtype)) throw unfit(program, "gives '${spec.name}' as ${tensor.look}")
    return expected.zip(outputs).associate { (spec, tensor) -> spec.name to tensor }
}

/** The tensor for an input. Throws [ProgramFailed] for one of another type or shape. */
internal fun checkedInput(program: ProgramName, item: ProgramInput, tensor: Tensor?, samples: Int): Tensor {
    val found = given(program, item, tensor)
    val shape = sized(item.shape, mapOf("B" to samples, "N" to samples))
    if (!found.isLike(shape, item.dtype)) throw unfit(program, "takes no '${item.name}' that is ${found.look}")
    return found
}

/** The tensor for an input. Throws [ProgramFailed] where there is none. */
internal fun given(program: ProgramName, item: ProgramInput, tensor: Tensor?): Tensor =
    tensor ?: throw unfit(program, "takes '${item.name}', which isn't there")

private fun Tensor.isLike(shape: List<Int>, dtype: Dtype) =
    this.dtype == dtype && this.shape == shape && size == shape.fold(1) { product, dimension -> product * dimension }

private val Tensor.look: String get() = "${dtype.word} $shape".take(100)

private fun unfit(program: ProgramName, what: String) =
    ProgramFailed("program ${program.word} $what", "tell the operator to export the model again")

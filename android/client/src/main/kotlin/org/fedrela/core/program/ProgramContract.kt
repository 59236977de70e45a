package org.fedrela.core.program

import org.fedrela.core.json.requireInput
import org.fedrela.core.tensors.Dtype
import org.fedrela.core.tensors.LARGEST_DIMENSION
import org.fedrela.core.tensors.exceedsMostElements

// What the three programs of a bundle must take and give, so that they can be run without looking twice: a hostile
// manifest must end as an error of ours, never as a runtime's crash.

internal const val AGAIN = "export the model again"
internal const val ANCHOR = "anchor."

/** The sums over a batch that a training step gives besides, all float32 of shape (). */
public const val LOSS_SUM: String = "loss_sum"
public const val CORRECT_SUM: String = "correct_sum"
public const val WEIGHT_SUM: String = "weight_sum"

private val ANY = 0..10_000
private val SOME = 1..10_000
private val ONE = 1..1

/** How many inputs of each role a program takes. */
private val COUNTS: Map<ProgramName, Map<Role, IntRange>> = mapOf(
    ProgramName.TRAIN_STEP to mapOf(
        Role.PARAMETER to SOME,
        Role.BUFFER to ANY,
        Role.OPTIMIZER to ANY,
        Role.ANCHOR to ANY,
        Role.X to SOME,
        Role.Y to ONE,
        Role.WEIGHT to ONE,
        Role.HYPERPARAMETER to ANY,
        Role.RANDOM to ANY,
        Role.CLASS_PRIOR to 0..1,
    ),
    ProgramName.PREDICT to mapOf(Role.PARAMETER to ANY, Role.BUFFER to ANY, Role.X to SOME, Role.RANDOM to ANY),
    ProgramName.RELABEL to
        listOf(Role.PROBABILITIES, Role.LABELS, Role.UNIFORMS, Role.THRESHOLD_PERCENT).associateWith { ONE },
)

/** The programs as they were written. Throws InvalidInput unless they fit each other and the number of classes. */
internal fun checkedPrograms(written: Map<ProgramName, WrittenProgram>, classes: Int): Map<ProgramName, Program> {
    val programs = written.mapValues { (name, program) -> checked(name, program, classes) }
    val trainStep = programs.getValue(ProgramName.TRAIN_STEP)
    val outputs = mapOf(
        ProgramName.TRAIN_STEP to newNames(trainStep) + listOf(LOSS_SUM, CORRECT_SUM, WEIGHT_SUM),
        ProgramName.PREDICT to listOf("probabilities"),
        ProgramName.RELABEL to listOf("new_labels", "flip_rate"),
    )
    for ((name, program) in programs)
        check(program.outputs == outputs[name], "${name.word} gives other outputs than it must")
    checkAnchors(trainStep)
    checkPredict(trainStep, programs.getValue(ProgramName.PREDICT))
    return programs
}

private fun newNames(trainStep: Program) = trainStep.inputs.filter { it.role.isCarried }.map { "new.${it.name}" }

/** Each input alone, and how many there are of each role. */
private fun checked(name: ProgramName, program: WrittenProgram, classes: Int): Program {
    val counts = COUNTS.getValue(name)
    check(distinct(program.inputs.map { it.name }), "${name.word} has two inputs of one name")
    check(distinct(program.files.map { it.runtime }), "${name.word} has two files for one runtime")
    check(program.inputs.all { it.role in counts }, "${name.word} takes an input of another program's role")
    for ((role, range) in counts) {
        val count = program.inputs.count { it.role == role }
        check(count in range, "${name.word} takes $count inputs of the role ${role.word}")
    }
    return Program(program.inputs.map { input(name, it, classes) }, program.outputs, program.files)
}

private fun input(program: ProgramName, written: WrittenInput, classes: Int): ProgramInput {
    val what = "${program.word}: '${written.name.take(100)}'"
    val shape = written.shape.mapIndexed { axis, dimension -> dimension(what, written.role, axis, dimension) }
    val sizes = shape.mapNotNull { (it as? Dimension.Size)?.elements?.toLong() }
    check(!exceedsMostElements(sizes), "$what is too large")
    val expected = shapeOf(written.role, classes)
    check(expected == null || shape == expected, "$what has another shape")
    check(written.role != Role.X || shape.firstOrNull() == BATCH, "$what has no batch dimension")
    val only = if (written.role == Role.Y || written.role == Role.LABELS) Dtype.INT64 else Dtype.FLOAT32
    check(written.role == Role.X || written.dtype == only, "$what is ${written.dtype.word} and must be ${only.word}")
    return ProgramInput(written.name, written.role, shape, written.dtype)
}

private val BATCH = Dimension.Named("B")
private val SAMPLES = Dimension.Named("N")

/** Whole numbers from 1, and "B" or "N" as the first dimension where the role allows it. */
private fun dimension(what: String, role: Role, axis: Int, written: Written): Dimension = when (written) {
    is Written.Number -> {
        check(written.value in 1..LARGEST_DIMENSION, "$what has the dimension ${written.value}")
        Dimension.Size(written.value.toInt())
    }
    is Written.Name -> Dimension.Named(written.value).also {
        check(axis == 0 && it == freeDimension(role), "$what has the dimension ${written.value.take(20)}")
    }
}

/** What the first dimension may be called, where it may have a name at all. */
private fun freeDimension(role: Role): Dimension? = when (role) {
    Role.X, Role.Y, Role.WEIGHT, Role.RANDOM -> BATCH
    Role.PROBABILITIES, Role.LABELS, Role.UNIFORMS -> SAMPLES
    else -> null
}

/** The shape that follows from a role. */
private fun shapeOf(role: Role, classes: Int): List<Dimension>? = when (role) {
    Role.Y, Role.WEIGHT -> listOf(BATCH)
    Role.HYPERPARAMETER, Role.THRESHOLD_PERCENT -> emptyList()
    Role.CLASS_PRIOR -> listOf(Dimension.Size(classes))
    Role.PROBABILITIES, Role.UNIFORMS -> listOf(SAMPLES, Dimension.Size(classes))
    Role.LABELS -> listOf(SAMPLES)
    else -> null
}

/** Every anchor is the global value of a parameter. */
private fun checkAnchors(trainStep: Program) {
    val parameters = trainStep.inputs(Role.PARAMETER).associate { ANCHOR + it.name to it.shape }
    for (anchor in trainStep.inputs(Role.ANCHOR))
        check(parameters[anchor.name] == anchor.shape, "'${anchor.name.take(100)}' is no parameter's anchor")
}

/** Predict runs on what train_step learns, and on the same examples. */
private fun checkPredict(trainStep: Program, predict: Program) {
    val weights = trainStep.inputs(Role.PARAMETER, Role.BUFFER).associateBy { it.name }
    for (item in predict.inputs(Role.PARAMETER, Role.BUFFER))
        check(item == weights[item.name], "predict: '${item.name.take(100)}' is no weight of train_step")
    check(trainStep.inputs(Role.X) == predict.inputs(Role.X), "predict and train_step take different examples")
}

private fun distinct(names: List<String>) = names.toSet().size == names.size

private fun check(condition: Boolean, problem: String) = requireInput(condition, problem, AGAIN)

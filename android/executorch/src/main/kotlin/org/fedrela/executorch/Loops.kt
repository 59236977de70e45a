package org.fedrela.executorch

// Loops of a .pte file's instructions: only those that anybody can see end, and only so many steps in all. The form,
// and why no other is admitted, is in the Python device's `core/pte_files/loops.py`; a test compares the verdicts.

private const val PRIM = "executorch_prim::"
private const val SUBTRACT = "${PRIM}sub.Scalar"
private val AS_INDEX = mapOf( // the argument that is read as one
    "aten::select_copy.int_out" to 2, "${PRIM}et_copy_index.tensor" to 2, SUBTRACT to 1,
)

internal sealed interface Instruction

/** A kernel by its name, "" for an instruction that calls none; which values it has. */
internal class Call(val kernel: String, val values: IntArray) : Instruction

/** To another instruction, unless a value is true. */
internal class Jump(val unless: Int, val to: Int) : Instruction

private class Loop(
    val reset: Int, val first: Int, val jump: Int, // places of instructions
    val counter: Int, val fixed: Set<Int>, // values
    val length: Long,
)

/**
 * How many instructions run at most, or [most] + 1 where they are more; null where that can't be told.
 *
 * numbers: the whole numbers among the program's values, but for those that a caller gives it.
 */
internal fun executed(instructions: List<Instruction>, numbers: Map<Int, Long>, most: Int): Long? {
    val jumps = instructions.indices.filter { instructions[it] is Jump }
    if (jumps.all { (instructions[it] as Jump).to > it }) return instructions.size.toLong()
    val loops = jumps.map { loop(instructions, it, numbers) ?: return null }
    val areApart = loops.zipWithNext().all { (earlier, later) -> later.reset > earlier.jump }
    if (!areApart || !areAlone(loops, instructions)) return null
    var count = instructions.size.toLong()
    for (loop in loops) {
        if (loop.length > most) return most + 1L
        count += (loop.length - 1) * (loop.jump - loop.first + 1)
    }
    return minOf(count, most + 1L)
}

private fun loop(instructions: List<Instruction>, at: Int, numbers: Map<Int, Long>): Loop? {
    val jump = instructions[at] as Jump
    if (jump.to !in 1..at - 2) return null
    val compare = called(instructions[at - 1], "${PRIM}ge.Scalar") ?: return null
    val (counter, length, done) = compare.values.toList()
    val reset = called(instructions[jump.to - 1], SUBTRACT) ?: return null
    val step = called(instructions[at - 2], "${PRIM}add.Scalar") ?: return null
    val one = step.values[1]
    val isKnown = reset.values.all { it == counter } && step.values[0] == counter && step.values[2] == counter
    val isNumbered = counter in numbers && numbers[one] == 1L && (numbers[length] ?: 0L) >= 1L && done !in numbers
    if (!isKnown || !isNumbered || done != jump.unless || setOf(counter, one, length).size < 3) return null
    return Loop(jump.to - 1, jump.to, at, counter, setOf(one, length, done), numbers.getValue(length))
}

/** A call of this kernel with three values. */
private fun called(instruction: Instruction, kernel: String): Call? =
    (instruction as? Call)?.takeIf { it.kernel == kernel && it.values.size == 3 }

/** Whether no instruction could change when another's loop ends. In one pass: a stranger may write any number. */
private fun areAlone(loops: List<Loop>, instructions: List<Instruction>): Boolean {
    val counters = loops.mapTo(HashSet()) { it.counter }
    val fixed = loops.flatMapTo(HashSet()) { it.fixed }
    if ((counters + fixed).size < 4 * loops.size) return false // two loops share a value
    val own = loops.flatMapTo(HashSet()) { listOf(it.reset, it.jump - 2, it.jump - 1, it.jump) }
    return instructions.indices.all { it in own || leaves(counters, fixed, instructions[it]) }
}

/** Whether an instruction has none of the values, but for reading one counter as an index, once. */
private fun leaves(counters: Set<Int>, fixed: Set<Int>, instruction: Instruction): Boolean {
    val values = if (instruction is Call) instruction.values else intArrayOf((instruction as Jump).unless)
    if (values.any { it in fixed }) return false
    val places = values.indices.filter { values[it] in counters }
    return places.isEmpty() || (instruction is Call && places == listOf(AS_INDEX[instruction.kernel] ?: -1))
}

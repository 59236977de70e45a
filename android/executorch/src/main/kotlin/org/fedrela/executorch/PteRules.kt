package org.fedrela.executorch

import org.fedrela.core.InvalidInput
import org.fedrela.core.NotEligible
import org.fedrela.core.tensors.MOST_DIMENSIONS
import org.fedrela.core.tensors.MOST_ELEMENTS
import java.nio.ByteBuffer
import java.nio.ByteOrder

private const val MOST_KERNELS = 1000
private const val MOST_VALUES = 200_000
private const val MOST_INSTRUCTIONS = 200_000
private const val MOST_PLANNED_BYTES = 1L shl 33 // of memory, for the largest batch
private const val IDENTIFIER = "ET12"
private const val EXTENDED = "eh00" // of the header that says where segments begin
private const val EXTENDED_END = 32 // its last 8 bytes are that place

// Fields by number, of program.fbs.
private const val PLANS = 1 // of Program
private const val BUFFERS = 2
private const val DELEGATE_DATA = 3
private const val SEGMENTS = 4
private const val MUTABLE = 6
private const val NAMED = 7
private const val NAME = 0 // of ExecutionPlan
private const val VALUES = 2
private const val INPUTS = 3
private const val OUTPUTS = 4
private const val CHAINS = 5
private const val OPERATORS = 6
private const val DELEGATES = 7
private const val SIZES = 8
private const val DEVICES = 9
private const val INT = 2 // kinds of values
private const val TENSOR = 5
private const val TENSOR_LIST = 10
private const val OPTIONAL_LIST = 11
private const val CALL = 1 // kinds of instructions; 2 calls a delegate
private const val MOVE = 3
private const val JUMP = 4
private const val FREE = 5

/**
 * What a .pte file may hold, looked at before a runtime reads it: kernels that the exporter emits, and their data. No
 * tensor lies elsewhere, no delegate runs code of its own, no kernel is one that isn't listed, no program jumps back
 * but in a loop that is seen to end.
 * Throws [NotEligible], naming what it holds, for what no device may load.
 */
public fun checkPte(program: ByteArray, name: String) {
    try {
        PteRules(name, program).program()
    } catch (fault: InvalidInput) {
        throw NotEligible("program $name can't be read (${fault.problem})", fault.remedy, fault)
    }
}

/** One program under inspection. */
private class PteRules(private val name: String, private val body: ByteArray) {
    fun program() {
        val root = flatRoot(body)
        demand(mark(4) == IDENTIFIER) { "another format's mark" }
        demand(root.vector(BUFFERS, 4).count == 0L) { "data of an old form" }
        demand(root.vector(DELEGATE_DATA, 4).count == 0L) { "a delegate's code" }
        demand(root.vector(MUTABLE, 4).count == 0L) { "state of its own" }
        demand(root.vector(NAMED, 4).count == 0L) { "data under names, as files beside it have" }
        segments(root)
        val plans = some(root, PLANS, 1, "methods")
        demand(plans.size == 1 && plans[0].text(NAME) == "forward") { "other methods than one" }
        plan(plans[0])
    }

    /** All data lie in this file. */
    private fun segments(root: FlatTable) {
        val hasHeader = body.size >= EXTENDED_END && mark(8) == EXTENDED
        val base =
            if (hasHeader) ByteBuffer.wrap(body).order(ByteOrder.LITTLE_ENDIAN).getLong(EXTENDED_END - 8) else 0L
        for (segment in some(root, SEGMENTS, 16, "segments")) {
            val (offset, size) = segment.long(0) to segment.long(1)
            demand(size == 0L || (base != 0L && isWithin(base, offset, size))) { "data beyond its end" }
        }
    }

    /** Whether the three, which have no sign, end within the file. */
    private fun isWithin(base: Long, offset: Long, size: Long): Boolean {
        val most = body.size.toLong()
        return base in 0..most && offset in 0..most - base && size in 0..most - base - offset
    }

    private fun plan(plan: FlatTable) {
        demand(plan.vector(DELEGATES, 4).count == 0L) { "a delegate" }
        demand(plan.vector(DEVICES, 4).count == 0L) { "another processor's memory" }
        var planned = 0L
        for (size in plan.longs(SIZES)) {
            demand(size in 0..MOST_PLANNED_BYTES - planned) { "too large a plan of memory" }
            planned += size
        }
        val kernels = some(plan, OPERATORS, MOST_KERNELS, "kernels").map { kernel(it) }
        val values = some(plan, VALUES, MOST_VALUES, "values")
        for (value in values) value(value, values.size)
        within(plan.ints(INPUTS), values.size)
        within(plan.ints(OUTPUTS), values.size)
        val given = plan.ints(INPUTS).toSet()
        val numbers = HashMap<Int, Long>()
        for ((at, value) in values.withIndex())
            if (value.byte(0) == INT && at !in given) numbers[at] = value.table(1)?.long(0) ?: 0L
        for (chain in some(plan, CHAINS, 1, "chains")) {
            val found = some(chain, 2, MOST_INSTRUCTIONS, "instructions").map { instruction(it, kernels, values.size) }
            val count = executed(found, numbers, MOST_INSTRUCTIONS) ?: throw refused("a jump back")
            demand(count <= MOST_INSTRUCTIONS) { "more instructions than any program needs" }
        }
    }

    private fun kernel(kernel: FlatTable): String {
        val named = "${kernel.text(0)}.${kernel.text(1)}".removeSuffix(".")
        demand(named in KERNELS) { "the kernel ${named.take(80)}" }
        return named
    }

    private fun value(value: FlatTable, values: Int) {
        val (kind, content) = value.byte(0) to value.table(1)
        demand(kind <= OPTIONAL_LIST) { "a value of an unknown kind" }
        if (kind == TENSOR_LIST) within(content?.ints(0) ?: IntArray(0), values)
        if (kind == OPTIONAL_LIST) within(content?.ints(0) ?: IntArray(0), values, least = -1)
        if (kind == TENSOR) tensor(content ?: throw refused("a tensor without a description"))
    }

    private fun tensor(tensor: FlatTable) {
        val shape = tensor.ints(2)
        demand(shape.size <= MOST_DIMENSIONS && shape.all { it >= 0 } && !isTooLarge(shape)) {
            "a tensor that is too large"
        }
        demand(tensor.int(1) == 0) { "a tensor that begins elsewhere" }
        val more = tensor.table(9)
        val isOutside = more != null && (more.byte(2) != 0 || more.byte(3) != 0 || more.long(0) != 0L)
        demand(!isOutside) { "a tensor whose data are in another file" }
    }

    private fun isTooLarge(shape: IntArray): Boolean {
        if (0 in shape) return false
        var elements = 1L
        for (dimension in shape) {
            if (elements > MOST_ELEMENTS / dimension) return true
            elements *= dimension
        }
        return false
    }

    private fun instruction(instruction: FlatTable, kernels: List<String>, values: Int): Instruction {
        val kind = instruction.byte(0)
        val content = instruction.table(1).takeIf { kind == CALL || kind == MOVE || kind == JUMP || kind == FREE }
            ?: throw refused("a call of a delegate")
        val first = content.int(0)
        if (kind == CALL) within(intArrayOf(first), kernels.size)
        val used = when (kind) {
            CALL -> content.ints(1)
            MOVE -> intArrayOf(first, content.int(1))
            else -> intArrayOf(first)
        }
        within(used, values)
        return if (kind == JUMP) Jump(first, content.int(1)) else Call(if (kind == CALL) kernels[first] else "", used)
    }

    /** The tables of a vector that isn't longer than any program needs. */
    private fun some(table: FlatTable, field: Int, most: Int, what: String): List<FlatTable> {
        demand(table.vector(field, 4).count <= most) { "more $what than any program needs" }
        return table.tables(field)
    }

    private fun within(indices: IntArray, count: Int, least: Int = 0) =
        demand(indices.all { it in least until count }) { "a reference to nothing" }

    private fun mark(at: Int): String = String(body, at, 4, Charsets.ISO_8859_1)

    private fun demand(condition: Boolean, what: () -> String) {
        if (!condition) throw refused(what())
    }

    private fun refused(what: String) =
        NotEligible("program $name holds $what", "tell the operator to export the model again")
}

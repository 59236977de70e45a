package org.fedrela.core.onnx

import org.fedrela.core.InvalidInput
import org.fedrela.core.NotEligible
import org.fedrela.core.json.decodeUtf8
import org.fedrela.core.tensors.LARGEST_DIMENSION
import org.fedrela.core.tensors.MOST_DIMENSIONS
import org.fedrela.core.tensors.MOST_ELEMENTS
import java.math.BigInteger
import java.nio.ByteBuffer
import java.nio.ByteOrder

public const val MOST_OPERATORS: Int = 50_000
public const val MOST_FIELDS: Int = 250_000 // of all messages in it, some read twice
private const val MOST_DEPTH = 8 // of graphs within graphs
private val MOST_PASSES = BigInteger.valueOf(100_000) // of one loop, those of the loops around it multiplied in

/**
 * What an ONNX file may hold, looked at before a runtime reads it: no data of other files, no functions, no foreign
 * operators or attributes, no endless loops, and no field that the exporter doesn't write. Throws [NotEligible], naming
 * what it holds, for what no device may load.
 */
public fun checkProgram(program: ByteArray, name: String) {
    try {
        OnnxRules(name).model(Bytes(program, 0, program.size))
    } catch (fault: InvalidInput) {
        throw NotEligible("program $name can't be read (${fault.problem})", fault.remedy, fault)
    }
}

/** Whole numbers that are constants, by name, for the bounds of loops: of a graph, and of those around it. */
private class Constants(private val outer: Constants?) {
    private val own = HashMap<String, BigInteger?>()

    operator fun get(name: String): BigInteger? = if (name in own) own[name] else outer?.get(name)

    operator fun set(name: String, value: BigInteger?) {
        own[name] = value
    }
}

/** Where a graph lies: the constants around it, how deep, and how often the loops around run it at most. */
private class Around(val constants: Constants?, val depth: Int, val passes: BigInteger)

/** One program under inspection; operators and fields are counted over all of its graphs. */
private class OnnxRules(private val name: String) {
    private var operators = 0
    private var fields = 0

    fun model(body: Bytes) {
        val graphs = contents(body, MODEL, "graph")
        demand(graphs.size == 1) { "${graphs.size} graphs" }
        val opsets = contents(body, MODEL, "opset_import")
        demand(opsets.size == 1) { "${opsets.size} sets of operators" }
        var domain = ""
        var version = 0L
        read(opsets[0], OPSET) { field, item ->
            if (field == "domain") domain = text(item.content) else version = item.number
        }
        demand(domain.isEmpty() && version in OPSETS) { "operators of another domain or version" }
        graph(graphs[0], Around(null, 1, BigInteger.ONE))
    }

    private fun graph(body: Bytes, around: Around) {
        demand(around.depth <= MOST_DEPTH) { "graphs within graphs without end" }
        val constants = Constants(around.constants)
        val names = HashSet<String>()
        for (value in contents(body, GRAPH, "input"))
            counted(value) { if (it.tag == 1L && it.wire == DELIMITED) names.add(text(it.content)) }
        for (fed in names) constants[fed] = null // what is fed, in place of a constant too, is none
        for (initializer in contents(body, GRAPH, "initializer")) {
            val tensor = tensor(initializer)
            constants[tensor.name] = if (tensor.name in names) null else tensor.value
            names.add(tensor.name)
        }
        for (node in contents(body, GRAPH, "node")) node(node, Around(constants, around.depth, around.passes))
    }

    private fun node(body: Bytes, around: Around) {
        operators += 1
        demand(operators <= MOST_OPERATORS) { "more than $MOST_OPERATORS operators" }
        var domain = ""
        var operator = ""
        var first: Bytes? = null
        read(body, NODE) { field, item ->
            when (field) {
                "domain" -> domain = text(item.content)
                "op_type" -> operator = text(item.content)
                "input" -> first = first ?: item.content
            }
        }
        val known =
            ATTRIBUTES[operator].takeIf { domain.isEmpty() } ?: throw refused("the operator ${operator.take(40)}")
        val inside = if (operator == "Loop") loop(first, around) else around
        for (attribute in contents(body, NODE, "attribute")) {
            val value = attribute(attribute, known, inside)
            if (operator == "Constant")
                for (output in contents(body, NODE, "output")) around.constants!![text(output)] = value
        }
    }

    /** Where the body of a loop lies, whose first input bounds it. */
    private fun loop(bound: Bytes?, around: Around): Around {
        val passes = bound?.let { around.constants!![text(it)] } ?: throw refused("a loop without a bound")
        val all = passes * around.passes
        demand(all <= MOST_PASSES) { "a loop without a bound that is low enough" }
        return Around(around.constants, around.depth, all)
    }

    /** Check what hangs on an operator; its whole number, if it is one. */
    private fun attribute(body: Bytes, known: Set<String>, around: Around): BigInteger? {
        var whole: BigInteger? = null
        var attribute = ""
        read(body, ATTRIBUTE) { field, item ->
            when (field) {
                "name" -> attribute = text(item.content)
                "t", "tensors" -> whole = tensor(item.content).value
                "g", "graphs" -> graph(item.content, Around(around.constants, around.depth + 1, around.passes))
                "i" -> whole = unsigned(item.number)
            }
        }
        demand(attribute in known) { "the attribute '${attribute.take(40)}' of an operator that has none" }
        return whole
    }

    private class Tensor(val name: String, val value: BigInteger?)

    /** Check a tensor; its name, and its value if it is a single whole number of 64 bits. */
    private fun tensor(body: Bytes): Tensor {
        var tensor = ""
        var type = 0L
        var rawBytes: Int? = null
        val values = ArrayList<BigInteger?>()
        val shape = ArrayList<BigInteger>()
        read(body, TENSOR) { field, item ->
            when (field) {
                "name" -> tensor = text(item.content)
                "data_type" -> type = item.number
                "dims" -> {
                    shape += numbers(item)
                    demand(shape.size <= MOST_DIMENSIONS) { "a tensor of too many dimensions" }
                }
                "raw_data" -> {
                    rawBytes = item.content.size
                    values += if (item.content.size == Long.SIZE_BYTES) raw(item.content) else null
                }
                "int64_data" -> values += numbers(item)
            }
        }
        val bytes = ITEM_BYTES[type] ?: throw refused("a tensor of an unknown type")
        val size = elements(shape) * bytes
        demand(rawBytes == null || rawBytes!!.toLong() == size) { "a tensor whose bytes don't fit its shape" }
        // Of two values runtimes take one or the other.
        return Tensor(tensor, if (type == INT64_TYPE && values.size == 1) values[0] else null)
    }

    private fun elements(shape: List<BigInteger>): Long {
        var product = BigInteger.ONE
        for (dimension in shape) {
            demand(dimension <= BigInteger.valueOf(LARGEST_DIMENSION)) { "a tensor that is too large" }
            product *= dimension
        }
        demand(product <= BigInteger.valueOf(MOST_ELEMENTS)) { "a tensor that is too large" }
        return product.toLong()
    }

    /** What the fields of one name hold. */
    private fun contents(body: Bytes, part: Part, name: String): List<Bytes> {
        val contents = ArrayList<Bytes>()
        read(body, part) { field, item -> if (field == name) contents.add(item.content) }
        return contents
    }

    private fun read(body: Bytes, part: Part, use: (String, Field) -> Unit) = counted(body) { item ->
        val (field, wires) = part.fields[item.tag] ?: throw refused("the field ${item.tag} of its ${part.name}")
        demand(item.wire in wires) { "the field $field of its ${part.name} in another form" }
        use(field, item)
    }

    private fun counted(body: Bytes, use: (Field) -> Unit) = eachField(body) { item ->
        fields += 1
        demand(fields <= MOST_FIELDS) { "more fields than any program needs" }
        use(item)
    }

    private fun text(content: Bytes): String = decodeUtf8(content.array.copyOfRange(content.from, content.to))

    private fun demand(condition: Boolean, what: () -> String) {
        if (!condition) throw refused(what())
    }

    private fun refused(what: String) =
        NotEligible("program $name holds $what", "tell the operator to export the model again")
}

/** The numbers in a field, packed or not; where they are more than a tensor has dimensions, the first ones. */
private fun numbers(item: Field): List<BigInteger> {
    if (item.wire == VARINT) return listOf(unsigned(item.number))
    val numbers = ArrayList<BigInteger>()
    eachVarint(item.content) { numbers.add(unsigned(it)) && numbers.size <= MOST_DIMENSIONS }
    return numbers
}

private fun raw(content: Bytes): BigInteger =
    unsigned(ByteBuffer.wrap(content.array).order(ByteOrder.LITTLE_ENDIAN).getLong(content.from))

private fun unsigned(number: Long): BigInteger {
    val signed = BigInteger.valueOf(number)
    return if (number < 0) signed + BigInteger.ONE.shiftLeft(Long.SIZE_BITS) else signed
}

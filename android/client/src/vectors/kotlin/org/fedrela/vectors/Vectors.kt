package org.fedrela.vectors

import org.fedrela.core.json.Json
import org.fedrela.core.json.parseJson
import org.fedrela.core.tensors.Tensors
import org.fedrela.core.tensors.readTensors
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.DynamicTest
import java.io.File
import java.util.Base64
import java.util.concurrent.ConcurrentSkipListSet

/** The conformance vectors, and which of their files have been read so far. */
object Vectors {
    val folder = File(System.getProperty("vectors"))
    val opened = ConcurrentSkipListSet<String>()

    fun bytes(name: String): ByteArray {
        opened.add(name)
        return File(folder, name).readBytes()
    }

    fun json(name: String): Json = parseJson(bytes(name))

    fun tensors(name: String): Tensors = readTensors(bytes(name)).tensors
}

operator fun Json.get(name: String): Json = find(name) ?: error("there is no member $name")

fun Json.find(name: String): Json? = (this as Json.Members).values[name]

val Json.items: List<Json> get() = (this as Json.Items).values
val Json.members: Map<String, Json> get() = (this as Json.Members).values
val Json.text: String get() = (this as Json.Text).value
val Json.long: Long get() = (this as Json.Whole).value
val Json.int: Int get() = long.toInt()
val Json.bool: Boolean get() = (this as Json.Bool).value
val Json.double: Double get() = if (this is Json.Whole) value.toDouble() else (this as Json.Real).value
val Json.longs: LongArray get() = items.map { it.long }.toLongArray()
val Json.texts: List<String> get() = items.map { it.text }
val Json.base64: ByteArray get() = Base64.getDecoder().decode(text)
val Json.isNull: Boolean get() = this is Json.Null

/** A text or a number, as a label of a stream. */
val Json.label: Any get() = if (this is Json.Whole) value else text

/** One test for every item of a list, named by its "name". */
fun tests(items: List<Json>, name: (Json) -> String = { it["name"].text }, test: (Json) -> Unit): List<DynamicTest> {
    check(items.isNotEmpty())
    return items.map { DynamicTest.dynamicTest(name(it)) { test(it) } }
}

inline fun <reified T : Throwable> assertRefused(noinline what: () -> Any?): T =
    assertThrows(T::class.java) { what() }

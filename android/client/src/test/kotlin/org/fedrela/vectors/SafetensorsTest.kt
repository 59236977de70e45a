package org.fedrela.vectors

import org.fedrela.core.InvalidInput
import org.fedrela.core.json.Json
import org.fedrela.core.numbers.numbers
import org.fedrela.core.tensors.Dtype
import org.fedrela.core.tensors.TensorSpec
import org.fedrela.core.tensors.readTensors
import org.fedrela.core.tensors.writeTensors
import org.junit.jupiter.api.Assertions.assertArrayEquals
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.TestFactory

class SafetensorsTest {
    private val document = Vectors.json("safetensors.json")

    @TestFactory
    fun `good files are read exactly, and written again`() = tests(document["good"].items) { case ->
        val file = readTensors(case["base64"].base64)
        assertEquals(case["metadata"].members.mapValues { it.value.text }, file.metadata)
        assertEquals(case["tensors"].members.keys, file.tensors.keys)
        for ((name, expected) in case["tensors"].members) {
            val tensor = file.tensors.getValue(name)
            assertEquals(expected["dtype"].text, tensor.dtype.word)
            assertEquals(expected["shape"].longs.map { it.toInt() }, tensor.shape)
            assertArrayEquals(expected["values"].items.map(::value).toDoubleArray(), numbers(tensor), 0.0)
        }
        val again = readTensors(writeTensors(file.tensors, file.metadata))
        assertEquals(file.metadata, again.metadata)
        for ((name, tensor) in file.tensors)
            assertArrayEquals(numbers(tensor), numbers(again.tensors.getValue(name)), 0.0)
    }

    private fun value(item: Json): Double = if (item is Json.Bool) (if (item.value) 1.0 else 0.0) else item.double

    @TestFactory
    fun `malformed files are refused`() = tests(document["malformed"].items) { case ->
        assertRefused<InvalidInput> { readTensors(case["base64"].base64) }
    }

    @TestFactory
    fun `tensors that do not fit are refused`() = tests(document["unfit"]["files"].items) { case ->
        val specs = document["unfit"]["specs"].items.map { spec ->
            val dtype = Dtype.entries.single { it.word == spec["dtype"].text }
            TensorSpec(spec["name"].text, spec["shape"].longs.map { it.toInt() }, dtype)
        }
        assertEquals(setOf("w", "b"), readTensors(document["unfit"]["fitting"].base64, specs).keys)
        assertRefused<InvalidInput> { readTensors(case["base64"].base64, specs) }
    }
}

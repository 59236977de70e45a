package org.fedrela.vectors

import org.fedrela.core.numbers.derive
import org.fedrela.core.numbers.encode
import org.fedrela.core.numbers.numbers
import org.fedrela.core.task.Aggregation
import org.fedrela.core.task.Encoding
import org.fedrela.core.tensors.TensorSpec
import org.fedrela.core.tensors.readTensors
import org.fedrela.core.trust.fromHex
import org.junit.jupiter.api.Assertions.assertArrayEquals
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.TestFactory

class EncodingsTest {
    private val document = Vectors.json("encodings.json")

    @TestFactory
    fun `updates travel as the document says`() =
        tests(document["encode"].items, { "${it["encoding"].text}, ${it["examples"].int} examples" }) { case ->
            val secret = document["stream"]
            val stream =
                derive(fromHex(secret["secret"].text)!!, *secret["labels"].items.map { it.label }.toTypedArray())
            val specs =
                document["specs"].items.map { TensorSpec(it["name"].text, it["shape"].longs.map { d -> d.toInt() }) }
            val encoding = Encoding.entries.single { it.word == case["encoding"].text }
            val before = case["residual_before"].base64
            val encoded = encode(
                readTensors(case["change"].base64, specs),
                Aggregation("mean", encoding, document["top_k_fraction"].double),
                case["examples"].int,
                stream,
                document["statistics"].texts.toSet(),
                if (before.isEmpty()) emptyMap() else readTensors(before).tensors,
            )
            assertArrayEquals(case["body"].base64, encoded.body)
            val residual = case["residual"].base64.takeIf { it.isNotEmpty() }?.let { readTensors(it).tensors }.orEmpty()
            assertEquals(residual.keys, encoded.residual.keys)
            for ((name, tensor) in residual)
                assertArrayEquals(numbers(tensor), numbers(encoded.residual.getValue(name)), 0.0)
        }
}

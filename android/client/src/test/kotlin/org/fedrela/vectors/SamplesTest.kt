package org.fedrela.vectors

import org.fedrela.client.training.ClassNumbers
import org.fedrela.client.training.Examples
import org.fedrela.client.training.Overlay
import org.fedrela.client.training.split
import org.fedrela.client.training.totals
import org.fedrela.core.InvalidData
import org.fedrela.core.json.Json
import org.fedrela.core.tensors.ByteTensor
import org.fedrela.core.tensors.Dtype
import org.fedrela.core.tensors.FloatTensor
import org.fedrela.core.trust.fromHex
import org.junit.jupiter.api.Assertions.assertArrayEquals
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.TestFactory

class SamplesTest {
    private val samples = Vectors.json("samples.json")
    private val holdout = Vectors.json("holdout.json")

    @TestFactory
    fun `labels count as classes where they are declared`() = tests(samples["labels"].items) { case ->
        val classes = ClassNumbers(case["class_names"].texts, case["classes"].int)
        val numbers =
            { case["labels"].items.map { if (it is Json.Text) classes.of(it.value) else classes.of(it.double) } }
        if (case.find("refused") != null) assertRefused<InvalidData>(numbers)
        else assertEquals(case["numbers"].longs.map { it.toInt() }, numbers())
    }

    private fun byValues(data: Json): Examples {
        val values = data["values"].longs.map { it.toByte() }.toByteArray()
        return Examples(mapOf("x" to ByteTensor(Dtype.UINT8, listOf(values.size, 1), values)), data["labels"].longs)
    }

    @TestFactory
    fun `labels stay with their samples when data are read again`() = tests(samples["read_again"].items) { case ->
        val overlay = Overlay.of(byValues(case["made"]), case["made"]["relabeled"].longs, generation = 1)
        val later = Overlay.fromBytes(overlay.toBytes()).labels(byValues(case["later"]))
        assertArrayEquals(case["train_on"].longs, later)
    }

    @TestFactory
    fun `a share is held out`() =
        tests(holdout["split"].items, { "${it["fraction"].double} of ${it["keys"].items.size}" }) { case ->
        val keys = case["keys"].longs
        val x = mapOf("x" to FloatTensor(listOf(keys.size, 1), FloatArray(keys.size)))
        val split =
            split(Examples(x, LongArray(keys.size), keys), case["fraction"].double, fromHex(case["secret"].text)!!)
        assertArrayEquals(case["held"].longs, split.heldOut.keys)
        assertEquals(keys.sorted(), (split.training.keys + split.heldOut.keys).sorted())
    }

    @TestFactory
    fun `totals over what is held out`() = tests(holdout["totals"].items, { "of ${it["labels"].items.size}" }) { case ->
        val probabilities = case["probabilities"].items.map { it.double.toFloat() }.toFloatArray()
        val report = totals(probabilities, case["labels"].longs, case["classes"].int)
        assertEquals(listOf(case["correct"].int, case["examples"].int), listOf(report.correct, report.examples))
        assertEquals(case["loss_sum"].double, report.lossSum, 1e-9 * case["loss_sum"].double)
    }
}

package org.fedrela.executorch

import org.fedrela.client.engine.selfTest
import org.fedrela.core.ProgramFailed
import org.fedrela.core.tensors.ByteTensor
import org.fedrela.core.tensors.Dtype
import org.fedrela.core.tensors.FloatTensor
import org.fedrela.core.tensors.IntTensor
import org.fedrela.core.tensors.LongTensor
import org.fedrela.core.tensors.Tensor
import org.fedrela.vectors.Vectors
import org.fedrela.vectors.assertRefused
import org.junit.jupiter.api.Assertions.assertArrayEquals
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.DynamicTest.dynamicTest
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.TestFactory
import org.junit.jupiter.api.io.TempDir
import org.pytorch.executorch.Module
import java.io.File

/** The way to the phone's library and back, with a double in place of the library: see Doubles.kt. */
class AndroidModuleTest {
    @TempDir
    lateinit var folder: File

    @TestFactory
    fun `golden steps pass`() = listOf("golden", "models/batch-norm/bundle").map { bundle ->
        dynamicTest(bundle) {
            opened(bundle, ExecutorchRuntime(folder)).use {
                selfTest(it, Vectors.bytes("$bundle/golden.safetensors"))
            }
        }
    }

    /** A module whose program gives what `outputs` makes of its inputs. */
    private fun module(outputs: (List<Tensor>) -> List<Tensor>) = AndroidModule(Module(object : PteModule {
        override fun forward(inputs: List<Tensor>) = outputs(inputs)

        override fun close() = Unit
    }))

    @Test
    fun `every type arrives as it was, and a scalar with an empty shape`() {
        val bytes = ByteTensor(Dtype.UINT8, listOf(2, 2), byteArrayOf(-1, 0, 1, 127))
        val longs = LongTensor(listOf(3), longArrayOf(1, -2, Long.MAX_VALUE))
        val scalar = FloatTensor(emptyList(), floatArrayOf(0.5f))
        var seen = emptyList<Tensor>()
        module { inputs -> inputs.drop(1).also { seen = inputs } }.use { module ->
            val (first, second) = module.forward(listOf(bytes, longs, scalar))
            assertEquals(listOf(listOf(2, 2), listOf(3), emptyList()), seen.map { it.shape })
            assertEquals(listOf(Dtype.UINT8, Dtype.INT64, Dtype.FLOAT32), seen.map { it.dtype })
            assertArrayEquals(bytes.values, (seen[0] as ByteTensor).values)
            assertArrayEquals(longs.values, (first as LongTensor).values)
            assertEquals(emptyList<Int>(), second.shape)
            assertEquals(0.5f, (second as FloatTensor).values.single())
        }
    }

    @Test
    fun `what was given stays when the program runs again`() {
        module { it }.use { module ->
            fun both(value: Int): List<Tensor> = listOf(
                FloatTensor(listOf(1), floatArrayOf(value.toFloat())),
                LongTensor(listOf(1), longArrayOf(value.toLong())),
            )
            val (floats, longs) = module.forward(both(1))
            module.forward(both(2))
            assertEquals(1f, (floats as FloatTensor).values.single())
            assertEquals(1L, (longs as LongTensor).values.single())
        }
    }

    @Test
    fun `another type is refused on both ways`() {
        val ints = IntTensor(listOf(1), intArrayOf(1))
        val signed = ByteTensor(Dtype.INT8, listOf(1), byteArrayOf(1))
        assertRefused<ProgramFailed> { module { it }.forward(listOf(ints)) }
        assertRefused<ProgramFailed> { module { it }.forward(listOf(signed)) }
        assertRefused<ProgramFailed> { module { listOf(signed) }.forward(emptyList()) }
    }
}

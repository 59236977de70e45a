package org.fedrela.executorch

import org.fedrela.core.IntegrityError
import org.fedrela.core.NotEligible
import org.fedrela.core.Unavailable
import org.fedrela.core.program.ProgramName
import org.fedrela.core.tensors.Tensor
import org.fedrela.vectors.assertRefused
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.io.TempDir
import java.io.File

private const val BUNDLE = "golden"

/** What is loaded, and what is never loaded. */
class ExecutorchRuntimeTest {
    @TempDir
    lateinit var folder: File

    private val manifest = manifest(BUNDLE)
    private val programs = programs(BUNDLE, manifest)
    private val closed = ArrayList<String>()

    private inner class Loaded(private val file: File) : PteModule {
        override fun forward(inputs: List<Tensor>): List<Tensor> = error("nothing is run")

        override fun close() {
            closed.add(file.name)
        }
    }

    private fun files() = folder.listFiles()!!.map { it.name }.sorted()

    @Test
    fun `programs are loaded from files that hold the verified bytes and are gone at the end`() {
        File(folder, "left-by-a-kill.pte").writeText("old")
        val seen = ArrayList<ByteArray>()
        val runtime = ExecutorchRuntime(folder) { file -> seen.add(file.readBytes()).let { Loaded(file) } }
        runtime.open(manifest, programs).use {
            assertEquals(programs.values.map { it.toList() }, seen.map { it.toList() })
            assertEquals(3, files().size)
        }
        assertEquals(emptyList<String>(), files())
        assertEquals(3, closed.size)
    }

    @Test
    fun `bytes that are not those of the manifest are not loaded`() {
        val another = programs + (ProgramName.PREDICT to programs.getValue(ProgramName.RELABEL))
        val loaded = ArrayList<File>()
        val runtime = ExecutorchRuntime(folder) { file -> loaded.add(file).let { Loaded(file) } }
        assertRefused<IntegrityError> { runtime.open(manifest, another) }
        assertEquals(loaded.map { it.name }, closed)
        assertTrue(loaded.none { it.readBytesOrNull().contentEquals(another[ProgramName.PREDICT]) })
        assertEquals(emptyList<String>(), files())
    }

    private fun File.readBytesOrNull() = if (exists()) readBytes() else null

    @Test
    fun `a program that no device may load never becomes a file`() {
        val spoiled = programs.getValue(ProgramName.PREDICT).copyOf().also { it[4] = 'X'.code.toByte() }
        val runtime = ExecutorchRuntime(folder) { error("it was loaded") }
        assertRefused<NotEligible> { runtime.open(manifest, programs + (ProgramName.PREDICT to spoiled)) }
        assertEquals(emptyList<String>(), files())
    }

    @Test
    fun `an app without the library takes no part`() {
        val runtime = ExecutorchRuntime(folder) { throw NoClassDefFoundError("org/pytorch/executorch/Module") }
        assertRefused<NotEligible> { runtime.open(manifest, programs) }
        val refusing = ExecutorchRuntime(folder) { throw IllegalArgumentException("Cannot load model path!!") }
        assertRefused<NotEligible> { refusing.open(manifest, programs) }
    }

    @Test
    fun `a folder that can't be written is a matter of time`() {
        val file = File(folder, "a-file").apply { writeText("no folder") }
        assertRefused<Unavailable> { ExecutorchRuntime(file) { Loaded(it) }.open(manifest, programs) }
    }
}

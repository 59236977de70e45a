package org.fedrela.executorch.desktop

import org.fedrela.core.tensors.Tensor
import org.fedrela.core.tensors.TensorFile
import org.fedrela.core.tensors.Tensors
import org.fedrela.core.tensors.readTensors
import org.fedrela.core.tensors.writeTensors
import org.fedrela.executorch.PteLoader
import org.fedrela.executorch.PteModule
import java.io.DataInputStream
import java.io.DataOutputStream
import java.io.File

/**
 * ExecuTorch as it is installed for an interpreter of Python, in a process that ends with this one: the files and
 * kernels are a phone's. `server`: tests/android/pte_server.py, which says how it is spoken to.
 */
public class PythonRuntime(python: String, server: String) : PteLoader {
    private val process =
        ProcessBuilder(python, server).redirectError(ProcessBuilder.Redirect.INHERIT).start()
    private val calls = DataOutputStream(process.outputStream.buffered())
    private val answers = DataInputStream(process.inputStream.buffered())

    /** The installed version. */
    public val version: String = answer().metadata.getValue("version")

    override fun load(file: File): PteModule =
        Loaded(ask(mapOf("load" to file.path)).metadata.getValue("program"))

    private inner class Loaded(private val number: String) : PteModule {
        override fun forward(inputs: List<Tensor>): List<Tensor> {
            val named = inputs.withIndex().associate { (at, tensor) -> "$at" to tensor }
            val outputs = ask(mapOf("program" to number), named).tensors
            return List(outputs.size) { outputs.getValue("$it") }
        }

        override fun close() {
            ask(mapOf("program" to number))
        }
    }

    private fun ask(what: Map<String, String>, tensors: Tensors = emptyMap()): TensorFile {
        val body = writeTensors(tensors, what)
        calls.writeInt(body.size)
        calls.write(body)
        calls.flush()
        return answer().also { file -> file.metadata["fault"]?.let { error(it) } }
    }

    private fun answer(): TensorFile = readTensors(ByteArray(answers.readInt()).also(answers::readFully))
}

package org.fedrela.executorch.desktop

import org.fedrela.core.tensors.Tensor
import org.fedrela.core.tensors.readTensors
import org.fedrela.core.tensors.writeTensors
import org.fedrela.executorch.ExecutorchRuntime
import org.fedrela.executorch.PteModule
import java.io.DataInputStream
import java.io.DataOutputStream
import java.io.File
import java.util.concurrent.TimeUnit

private const val PATIENCE_SECONDS = 10L

/** A program on ExecuTorch's Python runtime, in a process of its own: the files and kernels are a phone's. */
public class PythonModule(python: String, server: String, file: File) : PteModule {
    private val process = ProcessBuilder(python, server, file.path)
        .redirectError(ProcessBuilder.Redirect.INHERIT).start()
    private val calls = DataOutputStream(process.outputStream.buffered())
    private val answers = DataInputStream(process.inputStream.buffered())

    init {
        answer()
    }

    override fun forward(inputs: List<Tensor>): List<Tensor> {
        val body = writeTensors(inputs.withIndex().associate { (at, tensor) -> "$at" to tensor })
        calls.writeInt(body.size)
        calls.write(body)
        calls.flush()
        return answer()
    }

    override fun close() {
        calls.close()
        if (!process.waitFor(PATIENCE_SECONDS, TimeUnit.SECONDS)) process.destroyForcibly()
    }

    private fun answer(): List<Tensor> {
        val body = ByteArray(answers.readInt()).also(answers::readFully)
        val file = readTensors(body)
        file.metadata["fault"]?.let { error(it) }
        return List(file.tensors.size) { file.tensors.getValue("$it") }
    }
}

/** ExecuTorch as it is installed for an interpreter of Python. `server`: tests/android/pte_server.py. */
public fun pythonRuntime(python: String, server: String, folder: File): ExecutorchRuntime {
    val version = ProcessBuilder(python, server).redirectError(ProcessBuilder.Redirect.INHERIT).start()
        .inputStream.bufferedReader().readText().trim()
    return ExecutorchRuntime(folder, version = version) { PythonModule(python, server, it) }
}

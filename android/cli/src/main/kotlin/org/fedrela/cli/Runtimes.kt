package org.fedrela.cli

import org.fedrela.client.engine.EngineFactory
import org.fedrela.executorch.ExecutorchRuntime
import org.fedrela.executorch.desktop.PythonRuntime
import org.fedrela.onnx.OnnxRuntime
import java.io.File

/** What this device runs programs on. ExecuTorch: in the interpreter `python`, behind the script `server`. */
internal fun runtimes(options: Options): List<EngineFactory> = when (val name = options.optional("runtime") ?: "onnx") {
    "onnx" -> listOf(OnnxRuntime())
    "executorch" -> {
        val desktop = PythonRuntime(options["python"], options["server"])
        listOf(ExecutorchRuntime(File(options["state"] + "-programs"), version = desktop.version, loader = desktop))
    }
    else -> exitWith("there is no runtime $name")
}

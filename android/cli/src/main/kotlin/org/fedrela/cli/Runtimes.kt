package org.fedrela.cli

import org.fedrela.client.engine.EngineFactory
import org.fedrela.executorch.desktop.pythonRuntime
import org.fedrela.onnx.OnnxRuntime
import java.io.File

/** What this device runs programs on. ExecuTorch: in the interpreter `python`, behind the script `server`. */
internal fun runtimes(options: Options): List<EngineFactory> = when (val name = options.optional("runtime") ?: "onnx") {
    "onnx" -> listOf(OnnxRuntime())
    "executorch" -> listOf(pythonRuntime(options["python"], options["server"], File(options["state"] + "-programs")))
    else -> exitWith("there is no runtime $name")
}

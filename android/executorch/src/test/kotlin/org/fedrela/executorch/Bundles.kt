package org.fedrela.executorch

import org.fedrela.client.engine.Engine
import org.fedrela.core.program.Manifest
import org.fedrela.core.program.ProgramName
import org.fedrela.core.program.readManifest
import org.fedrela.executorch.desktop.PythonRuntime
import org.fedrela.vectors.Vectors
import org.junit.jupiter.api.Assumptions.assumeTrue
import java.io.File

private val python = System.getProperty("python")
private val started by lazy { PythonRuntime(python, System.getProperty("pte.server")) }

/** Python's runtime in place of a phone's; a test without it is left out, but where CI is set. */
fun desktop(): PythonRuntime {
    assumeTrue(File(python).canExecute() || System.getenv("CI") != null, "ExecuTorch needs make install: no $python")
    return started
}

fun manifest(bundle: String): Manifest = readManifest(Vectors.bytes("$bundle/manifest.json"))

fun programs(bundle: String, manifest: Manifest): Map<ProgramName, ByteArray> =
    manifest.programs.mapValues { Vectors.bytes("$bundle/${it.value.file(EXECUTORCH)!!.path}") }

fun opened(bundle: String, runtime: ExecutorchRuntime): Engine =
    manifest(bundle).let { runtime.open(it, programs(bundle, it)) }

fun opened(bundle: String, folder: File): Engine = opened(bundle, ExecutorchRuntime(folder, loader = desktop()))

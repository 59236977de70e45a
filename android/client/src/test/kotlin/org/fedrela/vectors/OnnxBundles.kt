package org.fedrela.vectors

import org.fedrela.client.engine.Engine
import org.fedrela.core.program.readManifest
import org.fedrela.onnx.OnnxRuntime

/** A bundle of the vectors on ONNX Runtime. */
fun openBundle(folder: String): Engine {
    val manifest = readManifest(Vectors.bytes("$folder/manifest.json"))
    val programs = manifest.programs.mapValues { Vectors.bytes("$folder/${it.value.file("onnx")!!.path}") }
    return OnnxRuntime().open(manifest, programs)
}

package org.fedrela.client

import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Test
import java.io.File

/** The house rules of the Kotlin sources. */
class HouseTest {
    private val sources = File("..").walkTopDown().onEnter { it.name != "target" }
        .filter { it.extension == "kt" && "/src/main/" in it.invariantSeparatorsPath }.toList()

    private fun offenders(rule: Regex, where: (String) -> Boolean = { true }) = sources
        .filter { where(it.invariantSeparatorsPath) }
        .flatMap { file -> file.readLines().filter(rule::containsMatchIn).map { "${file.name}: $it" } }

    @Test
    fun `the core knows neither the device, nor files, nor a network, nor the time`() {
        val ours = "org\\.fedrela\\.(client|onnx|executorch|cli|android|workmanager)"
        val others = "$ours|okhttp3|java\\.io|java\\.net\\.(?!URI)|java\\.nio\\.file"
        assertEquals(emptyList<String>(), offenders(Regex("import ($others)|currentTime")) { "/fedrela/core/" in it })
    }

    @Test
    fun `the client knows no runtime`() {
        val rule = Regex("import (ai\\.onnxruntime|org\\.pytorch|org\\.fedrela\\.(onnx|executorch))")
        assertEquals(emptyList<String>(), offenders(rule) { "/client/src/" in it })
    }

    @Test
    fun `no text depends on the language of a phone`() {
        val rule = Regex("String\\.format|\\.format\\(|\\.(toLowerCase|toUpperCase)\\(\\)")
        assertEquals(emptyList<String>(), offenders(rule))
    }

    @Test
    fun `no line is longer than a reader keeps in mind`() {
        assertEquals(emptyList<String>(), offenders(Regex(".{121}")))
    }
}

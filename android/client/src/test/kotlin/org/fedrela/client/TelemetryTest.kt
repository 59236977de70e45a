package org.fedrela.client

import ai.onnxruntime.OrtEnvironment
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Test

/** The runtime that is tested has no code that tells anybody of its use. */
class TelemetryTest {
    @Test
    fun `no library of the runtime names a collector of events`() {
        val libraries = listOf("libonnxruntime.so", "libonnxruntime4j_jni.so").map { name ->
            val library = OrtEnvironment::class.java.getResourceAsStream("/ai/onnxruntime/native/linux-x64/$name")!!
            name to library.use { it.readBytes() }.toString(Charsets.ISO_8859_1)
        }
        for (word in listOf("events.data.microsoft", "OneCollector", "Microsoft::Applications::Events"))
            assertEquals(emptyList<String>(), libraries.filter { word in it.second }.map { it.first }, word)
    }
}

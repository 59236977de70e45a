package org.fedrela.vectors

import org.fedrela.client.training.Conditions
import org.fedrela.client.training.obstacles
import org.fedrela.core.json.Json
import org.fedrela.core.json.json
import org.fedrela.core.json.parseJson
import org.fedrela.core.json.writeJson
import org.fedrela.core.task.readTask
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.TestFactory

class EligibilityTest {
    // A sensor may see more bytes than a message may name: a real number to this parser.
    private val document = Vectors.bytes("eligibility.json").toString(Charsets.UTF_8).let { text ->
        parseJson(text.replace(Regex("(?<=\\s)900719925474099[2-9](?=\\D)"), "$0.0").toByteArray())
    }

    private fun conditions(seen: Map<String, Json>) = Conditions(
        onMains = seen["on_mains"]?.bool,
        batteryPercent = seen["battery_percent"]?.double,
        isMetered = seen["metered"]?.bool,
        cpuCelsius = seen["cpu_celsius"]?.double,
        isThrottled = seen["throttled"]?.bool,
        loadPerCore = seen["load_per_core"]?.double,
        freeDiskBytes = seen["free_disk_bytes"]?.long,
        freeMemoryBytes = seen["free_memory_bytes"]?.double?.toLong(),
        minuteOfDay = seen["minute_of_day"]?.int,
    )

    private fun rule(case: Json) = readTask(
        writeJson(json("name" to json("t"), "rounds" to json(20L), "eligibility" to case["rule"])),
    ).eligibility

    @TestFactory
    fun `a device trains exactly where nothing stands in the way`() = tests(document["cases"].items) { case ->
        val now = conditions(case["conditions"].members)
        assertEquals(case["obstacles"].texts.toSet(), obstacles(now, rule(case)).toSet())
    }

    @TestFactory
    fun `a sensor that is not there is no obstacle`() = tests(document["cases"].items) { case ->
        val sensors = document["sensors"].members.mapValues { it.value.texts }
        for (sensor in case["conditions"].members.keys - "on_mains") { // without it the battery alone decides
            val left = case["obstacles"].texts.filter { sensor !in sensors.getValue(it) }
            assertEquals(left.toSet(), obstacles(conditions(case["conditions"].members - sensor), rule(case)).toSet())
        }
    }

    @Test
    fun `every field has a case that allows and one that forbids`() {
        for (field in document["sensors"].members.keys) {
            val forbids =
                document["cases"].items.filter { field in it["rule"].members }.map { field in it["obstacles"].texts }
            assertTrue(forbids.toSet() == setOf(true, false), field)
        }
    }
}

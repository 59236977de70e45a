package org.fedrela.vectors

import org.fedrela.core.IntegrityError
import org.fedrela.core.json.json
import org.fedrela.core.json.writeJson
import org.fedrela.core.secure.clipNorm
import org.fedrela.core.task.readTask
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.TestFactory

/** Clipping norms: what a device takes, and what it refuses. */
class SecureClippingTest {
    @TestFactory
    fun `clipping norms`() = tests(Vectors.json("secure/clipping.json")["norms"].items) { case ->
        val body = json("name" to json("a"), "rounds" to json(1L), "privacy" to case["privacy"])
        val (privacy, clip) = readTask(writeJson(body)).privacy to case["clip_millionths"].long
        if (case["norm"].isNull) assertRefused<IntegrityError> { clipNorm(privacy, clip) }
        else assertEquals(case["norm"].double, clipNorm(privacy, clip))
    }
}

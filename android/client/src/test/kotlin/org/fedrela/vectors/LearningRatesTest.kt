package org.fedrela.vectors

import org.fedrela.core.json.writeJson
import org.fedrela.core.task.lrFactor
import org.fedrela.core.task.readTask
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Test

class LearningRatesTest {
    @Test
    fun `a learning rate's factor is equal to the bit`() {
        val cases = Vectors.json("learning-rates.json")["cases"].items
        check(cases.isNotEmpty())
        for (case in cases) {
            val task = readTask(writeJson(case["task"]))
            for (factor in case["factors"].items) {
                val (round, expected) = factor.items
                assertEquals(expected.double, lrFactor(task, round.long), 0.0)
            }
        }
    }
}

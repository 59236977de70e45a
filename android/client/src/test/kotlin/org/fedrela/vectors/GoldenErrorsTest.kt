package org.fedrela.vectors

import org.fedrela.core.json.Json
import org.fedrela.core.numbers.relativeError
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.TestFactory

class GoldenErrorsTest {
    private fun number(value: Json): Double = runCatching { value.double }.getOrElse { value.text.toDouble() }

    private fun numbers(value: Json): DoubleArray = value.items.map(::number).toDoubleArray()

    @TestFactory
    fun `an output is off by as much as the vectors say`() =
        tests(Vectors.json("golden-errors.json")["cases"].items) { case ->
            val before = case["before"].takeIf { !it.isNull }?.let(::numbers)
            val slack = number(case["slack"])
            val found = relativeError(numbers(case["expected"]), numbers(case["actual"]), before, slack)
            val want = number(case["error"])
            assertEquals(want, found, if (want.isInfinite()) 0.0 else 1e-12 * want)
        }
}

package org.fedrela.vectors

import org.fedrela.core.NotEligible
import org.fedrela.core.onnx.ATTRIBUTES
import org.fedrela.core.onnx.MOST_FIELDS
import org.fedrela.core.onnx.MOST_OPERATORS
import org.fedrela.core.onnx.OPSETS
import org.fedrela.core.onnx.checkProgram
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.TestFactory

class ProgramsTest {
    private val document = Vectors.json("programs.json")

    @TestFactory
    fun `a program is taken or refused`() = tests(document["cases"].items) { case ->
        val check = { checkProgram(case["base64"].base64, "predict") }
        if (case["valid"].bool) check() else assertRefused<NotEligible>(check)
    }

    @Test
    fun `the rules are those of the document`() {
        assertEquals(document["operators"].members.mapValues { it.value.texts.toSet() }, ATTRIBUTES)
        assertEquals(document["opsets"].longs.toList(), listOf(OPSETS.first, OPSETS.last))
        assertEquals(document["limits"]["operators"].int, MOST_OPERATORS)
        assertEquals(document["limits"]["fields"].int, MOST_FIELDS)
    }
}

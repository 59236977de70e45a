package org.fedrela.vectors

import org.fedrela.core.json.Json
import org.fedrela.core.numbers.Stream
import org.fedrela.core.numbers.derive
import org.fedrela.core.numbers.permutation
import org.fedrela.core.numbers.philox
import org.fedrela.core.numbers.uniforms
import org.fedrela.core.numbers.words
import org.fedrela.core.trust.fromHex
import org.junit.jupiter.api.Assertions.assertArrayEquals
import org.junit.jupiter.api.Test

class StreamsTest {
    private val document = Vectors.json("streams.json")

    private fun stream(case: Json) = Stream(case["key"].longs, case["nonce"].longs)

    private fun hexadecimal(words: Json) = words.texts.map { it.toLong(16) }.toLongArray()

    @Test
    fun `philox gives the published answers`() {
        for (case in document["philox4x32_10"].items) {
            val words = LongArray(4)
            philox(hexadecimal(case["counter"]), hexadecimal(case["key"]), words, 0)
            assertArrayEquals(hexadecimal(case["output"]), words)
        }
    }

    @Test
    fun `streams are derived from a secret and labels`() {
        for (case in document["derive"].items) {
            val stream = derive(fromHex(case["secret"].text)!!, *case["labels"].items.map { it.label }.toTypedArray())
            assertArrayEquals(case["key"].longs, stream.key)
            assertArrayEquals(case["nonce"].longs, stream.nonce)
        }
    }

    @Test
    fun `words, uniforms and permutations`() {
        for (case in document["words"].items)
            assertArrayEquals(case["words"].longs, words(stream(case), case["count"].int))
        for (case in document["uniforms"].items) {
            val expected = case["numerators"].longs.map { it.toFloat() / (1 shl 24) }.toFloatArray()
            assertArrayEquals(expected, uniforms(stream(case), expected.size), 0f)
        }
        for (case in document["permutation"].items) {
            val expected = case["permutation"].longs.map { it.toInt() }.toIntArray()
            assertArrayEquals(expected, permutation(stream(case), case["n"].int))
        }
    }
}

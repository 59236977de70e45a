package org.fedrela.client

import org.fedrela.core.InvalidInput
import org.fedrela.core.trust.parseLink
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Test

private const val KEY = "00112233445566778899aabbccddeeff"

class LinksTest {
    @Test
    fun `a link says where, by which token, and whom to believe`() {
        val link = parseLink("https://fl.example.org:8443/place/join#abc.$KEY.${KEY.reversed()}")
        assertEquals("https://fl.example.org:8443/place", link.url)
        assertEquals(listOf("abc", KEY), listOf(link.token, link.coordinator))
        assertEquals(listOf(KEY.reversed()), link.publishers)
        assertEquals("http://127.0.0.1:8000", parseLink("http://127.0.0.1:8000/join#abc.$KEY").url)
    }

    @Test
    fun `everything else is refused`() {
        val others = listOf(
            "",
            "join#abc.$KEY",
            "ftp://fl.example.org/join#abc.$KEY",
            "http://fl.example.org/join#abc.$KEY",
            "https://user@fl.example.org/join#abc.$KEY",
            "https://fl.example.org/join?x=1#abc.$KEY",
            "https://fl.example.org/other#abc.$KEY",
            "https://fl.example.org/join#abc",
            "https://fl.example.org/join#abc.${KEY.uppercase()}",
            "https://fl.example.org/join#a c.$KEY",
            "https://fl.example.org:0/join#abc.$KEY",
            "https:///join#abc.$KEY",
        )
        for (link in others) assertThrows(InvalidInput::class.java, { parseLink(link) }, link)
    }
}

package org.fedrela.client

import org.fedrela.client.storage.StateFolder
import org.fedrela.core.InvalidInput
import org.fedrela.core.Unavailable
import org.junit.jupiter.api.Assertions.assertArrayEquals
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertNull
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.io.TempDir
import java.io.File

class StateFolderTest {
    @TempDir
    lateinit var temporary: File

    private val place get() = File(temporary, "state")
    private val folder get() = StateFolder(place)

    @Test
    fun `what was put is there, and what was not isn't`() {
        folder.put("assignment/update", byteArrayOf(1, 2))
        folder.put("assignment/update", byteArrayOf(3))
        folder.append("log/sent.jsonl", byteArrayOf(4))
        folder.append("log/sent.jsonl", byteArrayOf(5))
        assertArrayEquals(byteArrayOf(3), folder.get("assignment/update"))
        assertArrayEquals(byteArrayOf(4, 5), folder.get("log/sent.jsonl"))
        assertNull(folder.get("assignment/snapshot"))
        assertEquals(listOf("assignment/update"), folder.keys("assignment/"))
        folder.delete("assignment/update")
        folder.delete("assignment/update")
        assertNull(folder.get("assignment/update"))
    }

    @Test
    fun `a file that a crash left half written is no key`() {
        folder.put("blobs/a", byteArrayOf(1))
        File(place, "blobs/b~").writeBytes(byteArrayOf(1))
        assertEquals(listOf("blobs/a"), folder.keys())
        folder.clear()
        assertFalse(place.exists())
    }

    @Test
    fun `no key leaves the folder`() {
        for (key in listOf("../x", "/x", "a//b", "a/..", "", "a\u0000b", "A"))
            assertThrows(InvalidInput::class.java) { folder.put(key, ByteArray(0)) }
    }

    @Test
    fun `what can't be written is an error of ours, and changes nothing`() {
        folder.put("blobs/a", byteArrayOf(1))
        assertThrows(Unavailable::class.java) { folder.put("blobs/a/b", byteArrayOf(2)) }
        assertArrayEquals(byteArrayOf(1), folder.get("blobs/a"))
    }

    @Test
    fun `two clients at once are refused`() {
        folder.locked { assertThrows(InvalidInput::class.java) { folder.locked {} } }
        folder.locked {}
    }
}

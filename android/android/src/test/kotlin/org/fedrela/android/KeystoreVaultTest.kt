package org.fedrela.android

import org.fedrela.client.storage.StateFolder
import org.fedrela.core.Unavailable
import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertNull
import org.junit.Assert.assertThrows
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.RobolectricTestRunner
import org.robolectric.annotation.Config
import java.io.File
import java.security.ProviderException

@RunWith(RobolectricTestRunner::class)
@Config(application = TestApp::class)
class KeystoreVaultTest {
    private val app = TestApp.get()
    private val vault = KeystoreVault()
    private val body = "a secret".toByteArray()

    @Test
    fun `what is sealed opens again, under its own name only, and never looks the same`() {
        val sealed = vault.seal("identity.json", body)
        assertArrayEquals(body, vault.open("identity.json", sealed))
        assertNull(vault.open("assignment/secure", sealed))
        assertFalse(sealed.contentEquals(vault.seal("identity.json", body)))
        assertEquals(listOf("org.fedrela"), SoftKeystore.keys.keys.toList())
    }

    @Test
    fun `what was changed, cut short or sealed by a key that is gone is gone`() {
        val sealed = vault.seal("identity.json", body)
        for (at in sealed.indices) {
            val changed = sealed.copyOf().also { it[at] = (it[at] + 1).toByte() }
            assertNull(vault.open("identity.json", changed))
        }
        for (size in sealed.indices) assertNull(vault.open("identity.json", sealed.copyOf(size)))
        vault.forget()
        assertNull(vault.open("identity.json", sealed))
        vault.seal("identity.json", body)
        assertNull(vault.open("identity.json", sealed))
    }

    @Test
    fun `a Keystore that doesn't answer now has lost nothing`() {
        val sealed = vault.seal("identity.json", body)
        SoftKeystore.fault = ProviderException("its process is gone")
        assertThrows(Unavailable::class.java) { vault.open("identity.json", sealed) }
        assertThrows(Unavailable::class.java) { vault.seal("identity.json", body) }
        SoftKeystore.fault = null
        assertArrayEquals(body, vault.open("identity.json", sealed))
    }

    @Test
    fun `the identity and a group's secrets lie sealed in the folder, and the rest as it is`() {
        val folder = StateFolder(stateFolder(app), vault)
        for (key in listOf("identity.json", "assignment/secure", "trust.json")) {
            folder.put(key, body)
            assertArrayEquals(body, folder.get(key))
            assertEquals(key == "trust.json", "a secret" in File(stateFolder(app), key).readText(Charsets.ISO_8859_1))
        }
    }
}

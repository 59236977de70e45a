package org.fedrela.android

import android.security.keystore.KeyGenParameterSpec
import android.security.keystore.KeyPermanentlyInvalidatedException
import android.security.keystore.KeyProperties
import org.fedrela.client.storage.Vault
import org.fedrela.core.Unavailable
import java.security.GeneralSecurityException
import java.security.KeyStore
import java.security.ProviderException
import java.security.UnrecoverableKeyException
import javax.crypto.AEADBadTagException
import javax.crypto.Cipher
import javax.crypto.KeyGenerator
import javax.crypto.SecretKey
import javax.crypto.spec.GCMParameterSpec

private const val PROVIDER = "AndroidKeyStore"
private const val ALIAS = "org.fedrela"
private const val CIPHER = "AES/GCM/NoPadding"
private const val KEY_BITS = 256
private const val TAG_BITS = 128
private const val NONCE_BYTES = 12 // which AndroidKeyStore draws itself

/**
 * Seals with a key that never leaves the phone's Keystore: AES-GCM, the nonce before what is sealed, bound to the name
 * under which it is kept. No unlocked screen is asked for: training happens at night.
 */
internal class KeystoreVault : Vault {
    override fun seal(key: String, body: ByteArray): ByteArray = translated {
        val cipher = sealing()
        cipher.updateAAD(key.toByteArray(Charsets.UTF_8))
        check(cipher.iv.size == NONCE_BYTES)
        cipher.iv + cipher.doFinal(body)
    }

    override fun open(key: String, sealed: ByteArray): ByteArray? = translated {
        try {
            present()?.takeIf { sealed.size > NONCE_BYTES }?.let { opened(it, key, sealed) }
        } catch (_: KeyPermanentlyInvalidatedException) {
            null
        } catch (_: AEADBadTagException) {
            null
        }
    }

    override fun forget(): Unit = translated { store().deleteEntry(ALIAS) }

    /** A cipher with the key that is there, or with a new one where it is of no more use. */
    private fun sealing(): Cipher {
        val cipher = Cipher.getInstance(CIPHER)
        try {
            cipher.init(Cipher.ENCRYPT_MODE, present() ?: generated())
        } catch (_: KeyPermanentlyInvalidatedException) {
            cipher.init(Cipher.ENCRYPT_MODE, generated())
        }
        return cipher
    }

    private fun opened(secret: SecretKey, key: String, sealed: ByteArray): ByteArray {
        val cipher = Cipher.getInstance(CIPHER)
        cipher.init(Cipher.DECRYPT_MODE, secret, GCMParameterSpec(TAG_BITS, sealed, 0, NONCE_BYTES))
        cipher.updateAAD(key.toByteArray(Charsets.UTF_8))
        return cipher.doFinal(sealed, NONCE_BYTES, sealed.size - NONCE_BYTES)
    }

    private fun store(): KeyStore = KeyStore.getInstance(PROVIDER).apply { load(null) }

    private fun present(): SecretKey? = try {
        store().getKey(ALIAS, null) as SecretKey?
    } catch (_: UnrecoverableKeyException) {
        null
    }

    private fun generated(): SecretKey {
        val purposes = KeyProperties.PURPOSE_ENCRYPT or KeyProperties.PURPOSE_DECRYPT
        val spec = KeyGenParameterSpec.Builder(ALIAS, purposes).setKeySize(KEY_BITS)
            .setBlockModes(KeyProperties.BLOCK_MODE_GCM)
            .setEncryptionPaddings(KeyProperties.ENCRYPTION_PADDING_NONE)
            .build()
        val generator = KeyGenerator.getInstance(KeyProperties.KEY_ALGORITHM_AES, PROVIDER)
        generator.init(spec)
        return generator.generateKey()
    }

    /** Whatever else the Keystore throws may pass: it runs in a process of its own, which may be gone for a while. */
    private fun <T> translated(access: () -> T): T = try {
        access()
    } catch (fault: GeneralSecurityException) {
        throw unavailable(fault)
    } catch (fault: ProviderException) {
        throw unavailable(fault)
    }

    private fun unavailable(fault: Exception) =
        Unavailable("the phone's Keystore does not answer (${fault.message})", "try again later", fault)
}

package org.fedrela.android

import java.io.InputStream
import java.io.OutputStream
import java.security.Key
import java.security.KeyStoreSpi
import java.security.Provider
import java.security.SecureRandom
import java.security.Security
import java.security.cert.Certificate
import java.security.spec.AlgorithmParameterSpec
import java.util.Collections
import java.util.Date
import java.util.Enumeration
import javax.crypto.KeyGenerator
import javax.crypto.KeyGeneratorSpi
import javax.crypto.SecretKey
import android.security.keystore.KeyGenParameterSpec

/** Keys of the provider "AndroidKeyStore" in memory: Robolectric has none. The keys' ciphers are the JVM's own. */
internal object SoftKeystore {
    val keys: MutableMap<String, Key> = Collections.synchronizedMap(HashMap())

    /** What an access throws instead of answering; null: it answers. */
    @Volatile
    var fault: RuntimeException? = null

    fun install() {
        keys.clear()
        fault = null
        Security.removeProvider(NAME) // another Android's, whose classes are others
        Security.addProvider(SoftProvider())
    }

    private const val NAME = "AndroidKeyStore"

    private class SoftProvider : Provider(NAME, 1.0, "keys in memory") {
        init {
            put("KeyStore.$NAME", Keys::class.java.name)
            put("KeyGenerator.AES", Generator::class.java.name)
        }
    }

    class Generator : KeyGeneratorSpi() {
        private lateinit var spec: KeyGenParameterSpec

        override fun engineInit(parameters: AlgorithmParameterSpec, random: SecureRandom?) {
            spec = parameters as KeyGenParameterSpec
            check(spec.isRandomizedEncryptionRequired && !spec.isUserAuthenticationRequired)
        }

        override fun engineInit(bits: Int, random: SecureRandom?) = error("a key needs a name")

        override fun engineInit(random: SecureRandom?) = error("a key needs a name")

        override fun engineGenerateKey(): SecretKey {
            val key = KeyGenerator.getInstance("AES").apply { init(spec.keySize) }.generateKey()
            keys[spec.keystoreAlias] = key
            return key
        }
    }

    class Keys : KeyStoreSpi() {
        override fun engineGetKey(alias: String, password: CharArray?): Key? {
            fault?.let { throw it }
            return keys[alias]
        }

        override fun engineDeleteEntry(alias: String) {
            keys.remove(alias)
        }

        override fun engineLoad(stream: InputStream?, password: CharArray?) = Unit
        override fun engineContainsAlias(alias: String): Boolean = alias in keys
        override fun engineAliases(): Enumeration<String> = Collections.enumeration(keys.keys)
        override fun engineSize(): Int = keys.size
        override fun engineIsKeyEntry(alias: String): Boolean = alias in keys
        override fun engineIsCertificateEntry(alias: String): Boolean = false
        override fun engineGetCertificateChain(alias: String): Array<Certificate>? = null
        override fun engineGetCertificate(alias: String): Certificate? = null
        override fun engineGetCertificateAlias(certificate: Certificate?): String? = null
        override fun engineGetCreationDate(alias: String): Date = Date()
        override fun engineStore(stream: OutputStream?, password: CharArray?) = Unit
        override fun engineSetKeyEntry(alias: String, key: Key, password: CharArray?, chain: Array<Certificate>?) = Unit
        override fun engineSetKeyEntry(alias: String, key: ByteArray, chain: Array<Certificate>?) = Unit
        override fun engineSetCertificateEntry(alias: String, certificate: Certificate) = Unit
    }
}

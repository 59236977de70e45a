package org.fedrela.client.storage

/** Keeps the bytes of a few keys of a [StateFolder] secret from whoever reads its files. */
public interface Vault {
    /** `body` as it may lie in the folder under `key`. Throws [org.fedrela.core.Unavailable] where it can't now. */
    public fun seal(key: String, body: ByteArray): ByteArray

    /**
     * What was sealed under `key`; null where what sealed it is gone for good, or the bytes are others. Throws
     * [org.fedrela.core.Unavailable] where it can't be opened now.
     */
    public fun open(key: String, sealed: ByteArray): ByteArray?

    /** Make sure that nobody ever opens again what was sealed. */
    public fun forget()
}

/** Keeps nothing secret: whoever may read the folder may read what is in it. */
public object NoVault : Vault {
    override fun seal(key: String, body: ByteArray): ByteArray = body

    override fun open(key: String, sealed: ByteArray): ByteArray = sealed

    override fun forget(): Unit = Unit
}

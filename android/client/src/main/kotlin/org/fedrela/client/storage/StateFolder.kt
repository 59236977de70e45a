package org.fedrela.client.storage

import org.fedrela.core.InvalidInput
import org.fedrela.core.Unavailable
import java.io.File
import java.io.FileOutputStream
import java.io.IOException
import java.nio.channels.FileChannel
import java.nio.channels.OverlappingFileLockException
import java.nio.file.Files
import java.nio.file.StandardCopyOption
import java.nio.file.StandardOpenOption

private val KEY = Regex("[a-z0-9_-]+(\\.[a-z0-9_-]+)?(/[a-z0-9_-]+(\\.[a-z0-9_-]+)?)*")
private const val LOCK = "lock"
private const val TEMPORARY = "~"
private val SECRET = setOf(IDENTITY, SESSION) // what opens doors: it goes through the vault

/**
 * A folder of this client's own, in which a device keeps bytes by key ("blobs/<sha256>", "assignment/update"). A [put]
 * is all or nothing, whatever happens to the process or the power. Where the bytes can't be read or written now, as on
 * a full disk, every call throws [Unavailable] and changes nothing.
 */
public class StateFolder(private val folder: File, private val vault: Vault = NoVault) {
    /** The bytes of `key`; null where there are none, or where the vault that sealed them is gone. */
    public fun get(key: String): ByteArray? = translated("read") {
        file(key).takeIf { it.isFile }?.readBytes()?.let { if (key in SECRET) vault.open(key, it) else it }
    }

    /** Keep `body`: a temporary file beside it, flushed to the disk, then renamed over it. */
    public fun put(key: String, body: ByteArray): Unit = translated("written") {
        val file = file(key)
        val temporary = File(file.path + TEMPORARY)
        file.parentFile!!.mkdirs()
        try {
            FileOutputStream(temporary).use { out ->
                out.write(if (key in SECRET) vault.seal(key, body) else body)
                out.fd.sync()
            }
            Files.move(temporary.toPath(), file.toPath(), StandardCopyOption.ATOMIC_MOVE)
            flush(file.parentFile!!)
        } catch (fault: IOException) {
            temporary.delete()
            throw fault
        }
    }

    /** Add to the end of `key`; a power cut may tear it, so a reader must expect a torn end. */
    public fun append(key: String, body: ByteArray): Unit = translated("written") {
        file(key).parentFile!!.mkdirs()
        FileOutputStream(file(key), true).use { it.write(body) }
    }

    /** Forget `key`. */
    public fun delete(key: String): Unit = translated("deleted") {
        Files.deleteIfExists(file(key).toPath())
    }

    /** All keys that start with `prefix`, sorted; temporary files that a crash left are none. */
    public fun keys(prefix: String = ""): List<String> = translated("read") {
        folder.walkTopDown().filter { it.isFile }.map { it.relativeTo(folder).invariantSeparatorsPath }
            .filter { it.startsWith(prefix) && KEY.matches(it) && it != LOCK }.sorted().toList()
    }

    /** Forget everything; the folder itself goes, too. */
    public fun clear(): Unit = translated("deleted") {
        vault.forget()
        if (folder.exists() && !folder.deleteRecursively()) throw IOException("a file is left")
    }

    /**
     * Hold the folder meanwhile: two clients would take each other's assignments. Throws [InvalidInput] if it is held.
     */
    public fun <T> locked(work: () -> T): T {
        val channel = translated("locked") {
            folder.mkdirs()
            FileChannel.open(File(folder, LOCK).toPath(), StandardOpenOption.CREATE, StandardOpenOption.WRITE)
        }
        channel.use {
            hold(channel)
            return work()
        }
    }

    private fun hold(channel: FileChannel) {
        val lock = try {
            channel.tryLock()
        } catch (fault: OverlappingFileLockException) {
            throw InvalidInput("a client is at work on this folder already", "make one client, and share it", fault)
        }
        if (lock == null)
            throw InvalidInput("another process is at work on this folder", "make one client, and share it")
    }

    /** What was renamed is there after a power cut, too. */
    private fun flush(parent: File) {
        FileChannel.open(parent.toPath(), StandardOpenOption.READ).use { it.force(true) }
    }

    private fun file(key: String): File {
        if (!KEY.matches(key))
            throw InvalidInput("'$key' is not a key of the state folder", "use lower-case words and digits")
        return File(folder, key)
    }

    private fun <T> translated(what: String, access: () -> T): T = try {
        access()
    } catch (fault: IOException) {
        throw Unavailable(
            "the device's state can't be $what (${fault.message})", "free some space, and try again",
            fault,
        )
    }
}

package org.fedrela.executorch

import org.fedrela.core.IntegrityError
import org.fedrela.core.Unavailable
import org.fedrela.core.trust.sha256
import java.io.File
import java.io.IOException

private const val SUFFIX = ".pte"

/** The files that the runtime loads programs from, in a folder of their own. */
internal class ProgramFiles(private val folder: File) {
    /**
     * What `load` makes of a file with these bytes, whose hash was looked at right before. Throws [IntegrityError]
     * where the file holds other bytes, [Unavailable] where it can't be written.
     */
    fun <T> loaded(sha256: String, body: ByteArray, load: (File) -> T): T {
        val file = File(folder, sha256 + SUFFIX)
        val found = try {
            folder.mkdirs()
            file.writeBytes(body)
            sha256(file.readBytes())
        } catch (fault: IOException) {
            throw Unavailable("a program can't be kept (${fault.message})", "free some space, and try again", fault)
        }
        if (found != sha256)
            throw IntegrityError("a program's file is not what was verified", "nothing was loaded; tell the operator")
        return load(file)
    }

    /** Delete all of them, those of a process that was killed, too. */
    fun clear() {
        folder.listFiles { file -> file.name.endsWith(SUFFIX) }?.forEach { it.delete() }
    }
}

package org.fedrela.client.network

import okhttp3.Response
import org.fedrela.client.storage.StateFolder
import org.fedrela.core.IntegrityError
import org.fedrela.core.trust.sha256
import java.io.ByteArrayOutputStream
import java.io.IOException

private const val KEEP_BYTES = 262_144
private const val DAMAGED_DOWNLOADS = 3 // a blob that is wrong this often is wrong at its source

/**
 * Downloads that go on where they stopped, after a restart too, named and checked by their SHA-256. A blob that arrives
 * whole but wrong is fetched again, in case it was damaged on its way.
 */
internal class Downloads(private val transport: Transport, private val folder: StateFolder) {
    /**
     * The blob. Throws [IntegrityError] if it never matches its name, or is longer than `mostBytes`; and Unavailable.
     */
    fun blob(hash: String, mostBytes: Long): ByteArray {
        val key = "partial/$hash"
        var damaged = 0
        val body = transport.again {
            val body = fetch(hash, key, mostBytes)
            if (sha256(body) != hash) {
                folder.delete(key)
                damaged += 1
                if (damaged < DAMAGED_DOWNLOADS) throw TryAgain("a download was damaged")
                throw IntegrityError("the coordinator's blob ${hash.take(12)} does not match its hash", REMEDY)
            }
            body
        }
        folder.delete(key)
        return body
    }

    /** One request for what is missing, put behind what is there. */
    private fun fetch(hash: String, key: String, mostBytes: Long): ByteArray {
        val present = folder.get(key) ?: ByteArray(0)
        val range = if (present.isEmpty()) emptyMap() else mapOf("Range" to "bytes=${present.size}-")
        return transport.request(Call("GET", "/v1/blobs/$hash", headers = range)) { response ->
            if (goesOn(response, present.size)) {
                read(response, present, key, mostBytes)
            } else {
                folder.delete(key)
                if (response.code == PARTIAL || response.code == RANGE_REFUSED)
                    throw TryAgain("the coordinator has another range than this device asked for")
                read(response, ByteArray(0), key, mostBytes)
            }
        }
    }

    /** Whether the answer continues what is there; false for the whole blob, or for a range that doesn't fit. */
    private fun goesOn(response: Response, present: Int): Boolean {
        if (response.code == RANGE_REFUSED) return false
        checkStatus(response) { transport.shortAnswer(it) }
        if (response.code == PARTIAL) return response.header("Content-Range").orEmpty().startsWith("bytes $present-")
        return present == 0
    }

    private fun read(response: Response, present: ByteArray, key: String, mostBytes: Long): ByteArray {
        val body = ByteArrayOutputStream().apply { write(present) }
        val unsaved = ByteArrayOutputStream()
        try {
            transport.eachChunk(response) { chunk ->
                body.write(chunk)
                unsaved.write(chunk)
                if (body.size() > mostBytes) throw tooLong(key, mostBytes)
                if (unsaved.size() >= KEEP_BYTES) save(key, unsaved)
            }
        } catch (fault: IOException) {
            save(key, unsaved)
            throw fault
        } catch (fault: TryAgain) {
            save(key, unsaved)
            throw fault
        }
        return body.toByteArray()
    }

    private fun save(key: String, unsaved: ByteArrayOutputStream) {
        folder.append(key, unsaved.toByteArray())
        unsaved.reset()
    }

    private fun tooLong(key: String, mostBytes: Long): IntegrityError {
        folder.delete(key)
        return IntegrityError("a blob is longer than the $mostBytes bytes announced", REMEDY)
    }
}

private const val REMEDY = "nothing was loaded; tell the operator"

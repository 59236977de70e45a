package org.fedrela.client.storage

import org.fedrela.core.json.json
import org.fedrela.core.json.writeJson
import org.fedrela.core.trust.sha256

private const val LOG = "log/sent.jsonl"
private const val MOST_BYTES = 1_000_000 // a longer log keeps its newer half
private val BODIES = setOf("check-ins", "update", "failure", "evaluation")

/**
 * The owner's record of what left the device: one line of JSON for every request, and the newest body of each kind.
 * Tokens are never written.
 */
public class SentLog(private val folder: StateFolder) {
    /** Every recorded request, oldest first; a torn last line may be among them. */
    public fun lines(): List<String> = text().lines().filter { it.isNotEmpty() }

    /** The newest body of a kind: "check-ins", "update", "failure" or "evaluation". */
    public fun newest(kind: String): ByteArray? = if (kind in BODIES) folder.get("last/$kind") else null

    /** Record one request before it is sent. */
    internal fun add(at: Double, method: String, path: String, body: ByteArray) {
        val line = json(
            "at" to json(at),
            "method" to json(method),
            "path" to json(path),
            "bytes" to json(body.size.toLong()),
            "sha256" to json(sha256(body)),
        )
        shorten()
        folder.append(LOG, writeJson(line) + '\n'.code.toByte())
        val kind = path.substringAfterLast('/')
        if (kind in BODIES) folder.put("last/$kind", body)
    }

    private fun shorten() {
        val log = text()
        if (log.length > MOST_BYTES)
            folder.put(LOG, log.takeLast(MOST_BYTES / 2).substringAfter('\n').toByteArray(Charsets.UTF_8))
    }

    private fun text(): String = folder.get(LOG)?.toString(Charsets.UTF_8).orEmpty()
}

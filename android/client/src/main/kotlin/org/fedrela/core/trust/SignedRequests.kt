package org.fedrela.core.trust

import java.security.MessageDigest
import java.util.Base64

// Requests that carry their sender's signature: RFC 9421 with Ed25519 over one fixed set of components, and Content-
// Digest (RFC 9530).

public const val CONTENT_DIGEST: String = "Content-Digest"
private val WITH_BODY = setOf("POST", "PUT")

/** The value of Content-Digest for a body. */
internal fun contentDigest(body: ByteArray): String =
    "sha-256=:${base64(MessageDigest.getInstance("SHA-256").digest(body))}:"

/** What is added to a request, so that its receiver knows who sent it. `path`: below the coordinator's address. */
internal fun signedHeaders(privateKey: String, method: String, path: String, body: ByteArray): Map<String, String> {
    val digest = if (method in WITH_BODY) contentDigest(body) else null
    val components = if (digest == null) "(\"@method\" \"@path\")" else "(\"@method\" \"@path\" \"content-digest\")"
    val parameters = "$components;keyid=\"${publicKeyOf(privateKey)}\";alg=\"ed25519\""
    val lines = listOfNotNull(
        "\"@method\": $method",
        "\"@path\": $path",
        digest?.let { "\"content-digest\": $it" },
        "\"@signature-params\": $parameters",
    )
    val signature = checkNotNull(fromHex(sign(privateKey, lines.joinToString("\n").toByteArray(Charsets.UTF_8))))
    val headers =
        linkedMapOf("Signature-Input" to "fedrela=$parameters", "Signature" to "fedrela=:${base64(signature)}:")
    return if (digest == null) headers else headers + (CONTENT_DIGEST to digest)
}

private fun base64(bytes: ByteArray): String = Base64.getEncoder().encodeToString(bytes)

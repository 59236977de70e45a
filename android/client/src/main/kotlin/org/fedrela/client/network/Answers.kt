package org.fedrela.client.network

import okhttp3.Response
import org.fedrela.core.InvalidInput
import org.fedrela.core.Refused
import org.fedrela.core.Unavailable
import org.fedrela.core.wire.Problem
import org.fedrela.core.wire.readProblem

// What an answer means: see the table of the protocol's page on HTTP.

internal const val ATTEMPTS = 6
internal const val RANGE_REFUSED = 416
internal const val PARTIAL = 206
private const val BASE_SECONDS = 0.5
private const val CAP_SECONDS = 30.0
private const val LONGEST_WISH_SECONDS = 300.0 // a coordinator can't ask for a longer pause between two attempts
private const val MOST_TEXT = 500
private val SUCCESS = setOf(200, 201, 204, PARTIAL)
private val REDIRECTS = 300..399
private val TRANSIENT = setOf(408, 425, 429, 500, 502, 503, 504)
private val DAMAGED = setOf(400, 422) // our bodies are checked before they leave, so it was damaged on its way
private val WISH = Regex("[0-9]{1,6}")

/** The pause after failed attempt `number`, counted from 0. */
internal fun pauseSeconds(number: Int, uniform: Double): Double =
    minOf(CAP_SECONDS, BASE_SECONDS * (1 shl number)) * (0.5 + 0.5 * uniform)

/**
 * Nothing for a success; [TryAgain], [Refused] or [Unavailable] otherwise. A redirect, and a status without a problem
 * document, come from a stranger, such as the log-in page of a network.
 */
internal fun checkStatus(response: Response, read: (Response) -> ByteArray) {
    val status = response.code
    if (status in SUCCESS) return
    if (status in REDIRECTS) throw stranger(status)
    val problem = problem(read(response))
    if (status in TRANSIENT) throw TryAgain("HTTP $status", wishSeconds(response, problem))
    val refusal = problem?.let { Refused(printable(it.detail), printable(it.remedy), printable(it.code), status) }
    if (status in DAMAGED) throw TryAgain("HTTP $status", atLast = refusal ?: stranger(status))
    throw refusal ?: stranger(status)
}

private fun problem(body: ByteArray): Problem? = try {
    readProblem(body)
} catch (_: InvalidInput) {
    null
}

private fun stranger(status: Int) =
    Unavailable("what answered HTTP $status is no coordinator", "is there a log-in page? The device tries again later")

/** Seconds that the coordinator asks to wait, within limits. */
private fun wishSeconds(response: Response, problem: Problem?): Double {
    val header = response.header("Retry-After")?.takeIf { WISH.matches(it) }?.toDouble()
    return (header ?: problem?.retryAfterSeconds ?: 0.0).coerceIn(0.0, LONGEST_WISH_SECONDS)
}

/** A coordinator's text, made safe to show. */
internal fun printable(text: String): String =
    text.take(MOST_TEXT).map { if (Character.isISOControl(it)) '?' else it }.joinToString("")

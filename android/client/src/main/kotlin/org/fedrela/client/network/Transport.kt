package org.fedrela.client.network

import okhttp3.ConnectionPool
import okhttp3.CookieJar
import okhttp3.OkHttpClient
import okhttp3.Request
import okhttp3.RequestBody.Companion.toRequestBody
import okhttp3.Response
import org.fedrela.client.World
import org.fedrela.core.InvalidInput
import org.fedrela.core.Unavailable
import org.fedrela.core.trust.CONTENT_DIGEST
import org.fedrela.core.trust.contentDigest
import org.fedrela.core.trust.signedHeaders
import java.io.IOException
import java.io.InputStream
import java.util.concurrent.TimeUnit

private const val ANSWER_BYTES = 1_000_000 // no JSON answer is longer
private const val CHUNK_BYTES = 65_536
private const val ANSWER_SECONDS = 600.0 // one answer may take this long, however slowly it drips
private const val TIMEOUT_SECONDS = 30L // to connect, and between two parts of an answer
private const val IDLE_SECONDS = 2L // a connection is kept: less than any coordinator keeps it
private const val USER_AGENT = "fedrela-android"

/** Who sends: the token that lets a device in, and the key that signs whatever carries it. */
internal class Credentials(val token: String, val privateKey: String)

/** What is asked of a coordinator. `path`: below its address. `isAnonymous`: neither token nor signature. */
internal class Call(
    val method: String,
    val path: String,
    val body: ByteArray = ByteArray(0),
    val headers: Map<String, String> = emptyMap(),
    val isAnonymous: Boolean = false,
)

/** A fault that may pass. `afterSeconds`: what the coordinator asked for; `atLast`: what it is where it doesn't. */
internal class TryAgain(
    val problem: String,
    val afterSeconds: Double = 0.0,
    val atLast: RuntimeException? = null,
    cause: Throwable? = null,
) : Exception(problem, cause)

/**
 * Requests to one coordinator that are repeated until they succeed. `http` lends its connections, proxy and trust; its
 * interceptors, cookies, cache and redirects are not inherited. `sent` hears of every request before it leaves.
 */
internal class Transport(
    http: OkHttpClient,
    val url: String,
    private val credentials: Credentials?,
    private val world: World,
    private val sent: (Call) -> Unit,
) {
    private val http = plain(http)

    /** Send until an answer parses. Throws [Unavailable] or [org.fedrela.core.Refused]. */
    fun <T> call(call: Call, parse: (ByteArray) -> T): T = again {
        request(call) { response ->
            checkStatus(response) { shortAnswer(it) }
            val body = shortAnswer(response)
            try {
                parse(body)
            } catch (fault: InvalidInput) {
                throw TryAgain("the answer is malformed: ${fault.problem}", cause = fault)
            }
        }
    }

    /** Run `attempt` until it succeeds or the attempts are used up. */
    fun <T> again(attempt: () -> T): T {
        for (number in 0 until ATTEMPTS) {
            try {
                return attempt()
            } catch (fault: TryAgain) {
                if (number + 1 == ATTEMPTS || world.isStopped) throw fault.atLast ?: unavailable(fault)
                world.sleep(maxOf(fault.afterSeconds, pauseSeconds(number, world.uniform())))
            }
        }
        error("there is at least one attempt")
    }

    /** One request; `read` reads its answer. Every fault of the network becomes [TryAgain]. */
    fun <T> request(call: Call, read: (Response) -> T): T {
        sent(call)
        try {
            return http.newCall(prepared(call)).execute().use(read)
        } catch (fault: IOException) {
            throw TryAgain("${fault.javaClass.simpleName}: ${fault.message?.take(120)}", cause = fault)
        }
    }

    /** The whole body of an answer that must be short. */
    fun shortAnswer(response: Response): ByteArray {
        var body = ByteArray(0)
        eachChunk(response) { chunk ->
            body += chunk
            if (body.size > ANSWER_BYTES) throw TryAgain("the answer is too long")
        }
        return body
    }

    /** The body in parts as they come; one that is cut short, or drips for too long, is [TryAgain]. */
    fun eachChunk(response: Response, use: (ByteArray) -> Unit) {
        val coding = response.header("Content-Encoding") ?: "identity"
        if (coding != "identity") throw TryAgain("the answer is compressed")
        val began = world.now()
        val stream = response.body.byteStream()
        while (true) {
            val chunk = nextChunk(stream) ?: return
            if (world.now() - began > ANSWER_SECONDS) throw TryAgain("the answer took too long")
            use(chunk)
        }
    }

    private fun nextChunk(stream: InputStream): ByteArray? {
        val buffer = ByteArray(CHUNK_BYTES)
        val count = stream.read(buffer)
        return if (count < 0) null else buffer.copyOf(count)
    }

    private fun prepared(call: Call): Request {
        val body = call.body.takeIf { it.isNotEmpty() }?.toRequestBody()
        val request = Request.Builder().url(url + call.path).method(call.method, body)
            .header("Accept-Encoding", "identity").header("User-Agent", USER_AGENT)
        for ((name, value) in call.headers + identification(call)) request.header(name, value)
        return request.build()
    }

    private fun identification(call: Call): Map<String, String> = when {
        call.isAnonymous -> emptyMap()
        credentials != null -> signedHeaders(credentials.privateKey, call.method, call.path, call.body) +
            ("Authorization" to "Bearer ${credentials.token}")
        else -> mapOf(CONTENT_DIGEST to contentDigest(call.body))
    }

    private fun unavailable(fault: TryAgain) = Unavailable(
        "the coordinator at $url can't be reached (${fault.problem})",
        "nothing is lost, and the device tries again later",
        fault,
    )
}

private fun plain(http: OkHttpClient): OkHttpClient = OkHttpClient.Builder()
    .proxySelector(http.proxySelector).proxy(http.proxy).dns(http.dns).socketFactory(http.socketFactory)
    .apply { http.x509TrustManager?.let { sslSocketFactory(http.sslSocketFactory, it) } }
    .certificatePinner(http.certificatePinner)
    .followRedirects(false).followSslRedirects(false).retryOnConnectionFailure(false)
    .cookieJar(CookieJar.NO_COOKIES).cache(null)
    .connectionPool(ConnectionPool(1, IDLE_SECONDS, TimeUnit.SECONDS))
    .connectTimeout(TIMEOUT_SECONDS, TimeUnit.SECONDS)
    .readTimeout(TIMEOUT_SECONDS, TimeUnit.SECONDS)
    .writeTimeout(TIMEOUT_SECONDS, TimeUnit.SECONDS)
    .build()

package org.fedrela.android

import com.sun.net.httpserver.HttpServer
import java.net.InetAddress
import java.net.InetSocketAddress
import java.util.concurrent.CopyOnWriteArrayList

/** A coordinator that has nothing to do for anybody, on this machine; it says what it was asked. */
internal class Coordinator(private val checkIn: Pair<Int, String>) : AutoCloseable {
    val asked = CopyOnWriteArrayList<String>()
    private val server = HttpServer.create(InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0)
    val url: String get() = "http://127.0.0.1:${server.address.port}"

    init {
        server.createContext("/") { exchange ->
            asked.add("${exchange.requestMethod} ${exchange.requestURI.path}")
            val (status, body) = if (exchange.requestURI.path == "/v1/check-ins") checkIn else 200 to ""
            exchange.responseHeaders.add("Content-Type", "application/${if (status < 400) "" else "problem+"}json")
            exchange.sendResponseHeaders(status, body.length.toLong().takeIf { it > 0 } ?: -1)
            exchange.responseBody.use { it.write(body.toByteArray()) }
        }
        server.start()
    }

    override fun close() = server.stop(0)

    companion object {
        fun waiting(seconds: Int) =
            Coordinator(200 to """{"protocol": 1, "wait": {"reason": "no-task", "retry_after_seconds": $seconds}}""")
    }
}

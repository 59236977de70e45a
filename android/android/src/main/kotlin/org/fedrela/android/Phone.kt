package org.fedrela.android

import android.content.Context
import android.net.Network
import android.os.SystemClock
import android.os.UserManager
import android.system.Os
import okhttp3.Dns
import okhttp3.OkHttpClient
import org.fedrela.client.World
import org.fedrela.core.Unavailable

// What differs between a phone and any other machine that runs a JVM.

private const val MILLISECONDS = 1e3

/** A world whose clock never jumps and counts sleep: the time of day at the start, and what has passed since. */
public fun androidWorld(): World {
    val origin = (System.currentTimeMillis() - SystemClock.elapsedRealtime()) / MILLISECONDS
    return World(now = { origin + SystemClock.elapsedRealtime() / MILLISECONDS })
}

/** ONNX Runtime from 1.29 on sends events about its use, unless this is set before its first class is loaded. */
internal fun disableTelemetry() = Os.setenv("ORT_DISABLE_TELEMETRY", "1", true)

/** Throws [Unavailable] until the owner has first unlocked the phone after its start: no file can be read before. */
internal fun checkUnlocked(context: Context) {
    val users = context.getSystemService(Context.USER_SERVICE) as UserManager
    if (!users.isUserUnlocked)
        throw Unavailable("the phone hasn't been unlocked since it was started", "try again once it has been")
}

/** Connections by way of one network, its names looked up there as well: a job's constraints are about that one. */
internal fun OkHttpClient.over(network: Network?): OkHttpClient {
    if (network == null) return this
    val names = Dns { network.getAllByName(it).toList() }
    return newBuilder().socketFactory(network.socketFactory).dns(names).build()
}

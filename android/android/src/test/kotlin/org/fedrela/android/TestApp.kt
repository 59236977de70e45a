package org.fedrela.android

import android.app.Application
import android.content.Context
import androidx.test.core.app.ApplicationProvider
import okhttp3.OkHttpClient
import org.fedrela.client.storage.StateFolder
import org.fedrela.client.training.ExampleSource
import java.io.File

private const val KEY = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

/** An app that takes part, and offers nothing to train on. */
internal class TestApp : Application(), FedrelaHost {
    val telemetry = ArrayList<String?>() // what the environment said as runtimes were asked for

    override val fedrela: Fedrela by lazy {
        val source = ExampleSource { error("there is nothing to train on") }
        Fedrela(this, source, {
            telemetry.add(android.system.Os.getenv("ORT_DISABLE_TELEMETRY"))
            emptyList()
        }, http = OkHttpClient())
    }

    /** As if it had enrolled at a coordinator. */
    fun enrolled(url: String) {
        val identity = """{"url": "$url", "private_key": "$KEY", "secret": "$KEY", "publishers": [], "device_id": "d1",
            "device_token": "t1", "coordinator_public_key": "$KEY", "population": "default", "fleet": ""}"""
        StateFolder(stateFolder(this), KeystoreVault()).put("identity.json", identity.toByteArray())
    }

    companion object {
        fun get(): TestApp {
            SoftKeystore.install()
            return ApplicationProvider.getApplicationContext()
        }
    }
}

internal fun stateFolder(context: Context) = File(context.noBackupFilesDir, "fedrela")

package org.fedrela.sample

import android.app.Application
import android.os.Handler
import android.os.Looper
import org.fedrela.android.Fedrela
import org.fedrela.android.FedrelaHost
import org.fedrela.onnx.OnnxRuntime
import java.util.concurrent.Executors

private const val THREADS = 2 // of ONNX Runtime: phones have few fast cores

/** Jobs of the system start here as well as the owner of the phone does. */
public class App : Application(), FedrelaHost {
    internal val device: Device by lazy {
        val main = Handler(Looper.getMainLooper())
        Device(this, { listOf(OnnxRuntime(THREADS)) }, Executors.newCachedThreadPool()) { main.post(it) }
    }

    override val fedrela: Fedrela get() = device.fedrela

    override fun onCreate() {
        super.onCreate()
        device.begin()
    }
}

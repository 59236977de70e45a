package org.fedrela.workmanager

import android.content.Context
import android.os.Build
import androidx.annotation.RequiresApi
import androidx.work.Constraints
import androidx.work.NetworkType
import androidx.work.PeriodicWorkRequest
import androidx.work.Worker
import androidx.work.WorkerParameters
import org.fedrela.android.FedrelaHost
import org.fedrela.android.Schedule
import org.fedrela.android.androidWorld
import org.fedrela.core.FedRelaError
import java.util.concurrent.TimeUnit

/**
 * For apps whose background work is WorkManager's: give `Fedrela` no schedule of its own (`schedule = null`), and
 * enqueue [request] as unique periodic work. What a worker has done when it is stopped is kept; the next one goes on.
 */
public class TrainingWorker(context: Context, parameters: WorkerParameters) : Worker(context, parameters) {
    private val world = androidWorld()

    override fun doWork(): Result {
        val fedrela = (applicationContext as? FedrelaHost)?.fedrela ?: return Result.failure()
        return try {
            fedrela.work(world, if (Build.VERSION.SDK_INT >= 28) networkOf(this) else null)
            Result.success()
        } catch (_: FedRelaError) { // the phone is locked, or a file can't be read now
            Result.retry()
        }
    }

    override fun onStopped(): Unit = world.stop()

    public companion object {
        /** Every so many hours, while `rule` holds. */
        public fun request(hours: Long = 6, rule: Schedule = Schedule()): PeriodicWorkRequest {
            val constraints = Constraints.Builder()
                .setRequiredNetworkType(if (rule.unmetered) NetworkType.UNMETERED else NetworkType.CONNECTED)
                .setRequiresCharging(rule.charging)
                .setRequiresDeviceIdle(rule.idle)
                .setRequiresStorageNotLow(true)
                .build()
            return PeriodicWorkRequest.Builder(TrainingWorker::class.java, hours, TimeUnit.HOURS)
                .setConstraints(constraints)
                .build()
        }
    }
}

@RequiresApi(28)
private fun networkOf(worker: Worker) = worker.network

package org.fedrela.android

import android.app.job.JobInfo
import android.app.job.JobScheduler
import android.content.ComponentName
import android.content.Context
import android.os.Build
import androidx.annotation.RequiresApi
import org.fedrela.core.Unavailable

private const val NAMESPACE = "org.fedrela"
private const val MILLISECONDS = 1_000

// Far from the numbers that apps and WorkManager give: below API 34 all jobs of an app share them.
internal const val FIRST_JOB = 0x46524c00

/**
 * The jobs of this library. There are two numbers: a job that is at work schedules the other one, since scheduling its
 * own would end it.
 */
internal class Jobs(context: Context, private val rule: Schedule) {
    private val service = ComponentName(context, TrainingJobService::class.java)
    private val scheduler = scheduler(context)

    val isScheduled: Boolean get() = NUMBERS.any { scheduler.getPendingJob(it) != null }

    /** Throws [Unavailable] where the system takes no job. */
    fun schedule(afterSeconds: Double, number: Int = FIRST_JOB) {
        if (scheduler.schedule(job(number, afterSeconds)) != JobScheduler.RESULT_SUCCESS)
            throw Unavailable("the system takes no job of this app", "try again later")
    }

    fun cancel() = NUMBERS.forEach { scheduler.cancel(it) }

    private fun job(number: Int, afterSeconds: Double): JobInfo = JobInfo.Builder(number, service)
        .setRequiredNetworkType(if (rule.unmetered) JobInfo.NETWORK_TYPE_UNMETERED else JobInfo.NETWORK_TYPE_ANY)
        .setRequiresCharging(rule.charging)
        .setRequiresDeviceIdle(rule.idle)
        .setRequiresStorageNotLow(true)
        .setPersisted(true)
        .setMinimumLatency((afterSeconds * MILLISECONDS).toLong())
        .build()

    companion object {
        private val NUMBERS = listOf(FIRST_JOB, FIRST_JOB + 1)

        fun other(number: Int): Int = number xor 1
    }
}

/** One object for good: what is asked of another one for the same namespace need not know its jobs. */
private fun scheduler(context: Context): JobScheduler {
    val scheduler = context.getSystemService(Context.JOB_SCHEDULER_SERVICE) as JobScheduler
    return if (Build.VERSION.SDK_INT >= 34) Namespaces.of(scheduler) else scheduler
}

@RequiresApi(34)
private object Namespaces {
    fun of(scheduler: JobScheduler): JobScheduler = scheduler.forNamespace(NAMESPACE)
}

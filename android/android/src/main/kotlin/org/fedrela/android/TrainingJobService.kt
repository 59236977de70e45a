package org.fedrela.android

import android.app.job.JobParameters
import android.app.job.JobService
import android.net.Network
import android.os.Build
import androidx.annotation.RequiresApi
import org.fedrela.client.World
import org.fedrela.core.FedRelaError
import kotlin.concurrent.thread

/** A job: works for as long as the system lets it. What it has done by then is kept, and the next one goes on. */
public class TrainingJobService : JobService() {
    @Volatile
    private var world: World? = null

    override fun onStartJob(parameters: JobParameters): Boolean {
        val fedrela = (application as? FedrelaHost)?.fedrela ?: return false
        val world = androidWorld()
        this.world = world
        thread(name = "fedrela") {
            val isToComeAgain = isToComeAgain(fedrela, world, parameters)
            if (!world.isStopped) jobFinished(parameters, isToComeAgain) // one that was stopped comes again by itself
        }
        return true
    }

    /** Work; whether the system is to start this very job again, since the next one can't be scheduled. */
    private fun isToComeAgain(fedrela: Fedrela, world: World, parameters: JobParameters): Boolean {
        try {
            val seconds = fedrela.work(world, networkOf(parameters))
            if (seconds != null && !world.isStopped) fedrela.workAfter(seconds, Jobs.other(parameters.jobId))
        } catch (_: FedRelaError) { // its folder, or the Keystore, can't be read now
            return true
        }
        return false
    }

    override fun onStopJob(parameters: JobParameters): Boolean {
        world?.stop()
        return true
    }
}

private fun networkOf(parameters: JobParameters): Network? =
    if (Build.VERSION.SDK_INT >= 28) Networks.of(parameters) else null

@RequiresApi(28)
private object Networks {
    fun of(parameters: JobParameters): Network? = parameters.network
}

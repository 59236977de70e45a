package org.fedrela.workmanager

import android.app.Application
import androidx.test.core.app.ApplicationProvider
import androidx.work.ExistingPeriodicWorkPolicy
import androidx.work.ListenableWorker.Result
import androidx.work.NetworkType
import androidx.work.WorkInfo
import androidx.work.WorkManager
import androidx.work.testing.TestListenableWorkerBuilder
import androidx.work.testing.WorkManagerTestInitHelper
import org.fedrela.android.Fedrela
import org.fedrela.android.FedrelaHost
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertTrue
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.RobolectricTestRunner
import org.robolectric.annotation.Config
import java.util.concurrent.TimeUnit

/** An app whose background work is WorkManager's, on a phone that has not enrolled. */
internal class TestApp : Application(), FedrelaHost {
    override val fedrela by lazy { Fedrela(this, { error("nothing is there") }, { emptyList() }, schedule = null) }
}

@RunWith(RobolectricTestRunner::class)
@Config(application = TestApp::class)
class TrainingWorkerTest {
    private val app = ApplicationProvider.getApplicationContext<Application>()

    private fun worker() = TestListenableWorkerBuilder.from(app, TrainingWorker::class.java).build()

    @Test
    fun `a worker works until there is nothing to do`() {
        assertEquals(Result.success(), worker().startWork().get(20, TimeUnit.SECONDS))
    }

    @Test
    @Config(application = Application::class)
    fun `an app that says nowhere what its device is fails`() {
        assertEquals(Result.failure(), worker().startWork().get(20, TimeUnit.SECONDS))
    }

    @Test
    fun `a worker is enqueued with the conditions of a schedule`() {
        WorkManagerTestInitHelper.initializeTestWorkManager(app)
        val (manager, request) = WorkManager.getInstance(app) to TrainingWorker.request(hours = 12)
        manager.enqueueUniquePeriodicWork("fedrela", ExistingPeriodicWorkPolicy.KEEP, request).result.get()
        val info = manager.getWorkInfoById(request.id).get()!!
        assertEquals(WorkInfo.State.ENQUEUED, info.state)
        assertEquals(NetworkType.UNMETERED, info.constraints.requiredNetworkType)
        assertTrue(info.constraints.requiresCharging() && info.constraints.requiresDeviceIdle())
        assertTrue(info.constraints.requiresStorageNotLow())
        assertFalse(info.constraints.requiresBatteryNotLow())
        assertEquals(TimeUnit.HOURS.toMillis(12), info.periodicityInfo!!.repeatIntervalMillis)
    }
}

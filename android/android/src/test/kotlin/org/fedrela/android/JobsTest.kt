package org.fedrela.android

import android.app.Application
import android.app.job.JobInfo
import android.app.job.JobParameters
import android.app.job.JobScheduler
import android.content.Context
import android.net.NetworkCapabilities
import androidx.test.core.app.ApplicationProvider
import org.fedrela.android.LastAttempt.End
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertNull
import org.junit.Assert.assertTrue
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.Robolectric
import org.robolectric.RobolectricTestRunner
import org.robolectric.Shadows.shadowOf
import org.robolectric.annotation.Config
import org.robolectric.shadow.api.Shadow
import org.robolectric.util.ReflectionHelpers

private const val PATIENCE_MS = 20_000L

@RunWith(RobolectricTestRunner::class)
@Config(application = TestApp::class)
class JobsTest {
    private val app by lazy { TestApp.get() }

    /** Jobs that wait, as this library's own object knows them. */
    private fun waiting(): List<JobInfo> {
        val jobs = ReflectionHelpers.getField<Jobs>(app.fedrela, "jobs")
        return ReflectionHelpers.getField<JobScheduler>(jobs, "scheduler").allPendingJobs
    }

    @Test
    fun `a job asks for a network that costs nothing, a charger, idleness and room, and outlives a restart`() {
        app.enrolled("http://127.0.0.1:1")
        app.fedrela.schedule()
        val job = waiting().single()
        assertTrue(job.requiredNetwork!!.hasCapability(NetworkCapabilities.NET_CAPABILITY_NOT_METERED))
        assertTrue(job.isRequireCharging && job.isRequireDeviceIdle && job.isRequireStorageNotLow && job.isPersisted)
        assertEquals(TrainingJobService::class.java.name, job.service.className)
        assertEquals(0L, job.minLatencyMillis)
        val ofTheApp = app.getSystemService(Context.JOB_SCHEDULER_SERVICE) as JobScheduler
        assertEquals(emptyList<JobInfo>(), ofTheApp.allPendingJobs)
        app.fedrela.schedule()
        assertEquals(1, waiting().size)
        assertTrue(app.fedrela.status().isScheduled)
    }

    @Test
    fun `nothing is scheduled where nobody has enrolled, and nothing while it is paused`() {
        app.fedrela.schedule()
        assertFalse(app.fedrela.status().isScheduled)
        app.enrolled("http://127.0.0.1:1")
        app.fedrela.pause()
        app.fedrela.schedule()
        assertTrue(app.fedrela.status().isPaused)
        assertFalse(app.fedrela.status().isScheduled)
        assertNull(app.fedrela.work())
        app.fedrela.resume()
        assertTrue(app.fedrela.status().isScheduled)
        app.fedrela.pause()
        assertEquals(emptyList<JobInfo>(), waiting())
    }

    @Test
    fun `a job works, and schedules its successor for when the coordinator asked it to`() {
        Coordinator.waiting(7200).use { coordinator ->
            app.enrolled(coordinator.url)
            val service = Robolectric.buildService(TrainingJobService::class.java).create().get()
            assertTrue(service.onStartJob(parameters(FIRST_JOB)))
            until { shadowOf(service).isJobFinished }
            assertFalse(shadowOf(service).isRescheduleNeeded)
            assertEquals(listOf("POST /v1/check-ins"), coordinator.asked)
        }
        val next = waiting().single()
        assertEquals(FIRST_JOB + 1, next.id)
        assertEquals(7_200_000L, next.minLatencyMillis)
        val last = app.fedrela.status().last!!
        assertEquals(listOf(End.WAITING, "no-task"), listOf(last.end, last.detail))
    }

    @Test
    fun `a job that the system stops comes again by itself, and has told nobody that it is done`() {
        app.enrolled("http://127.0.0.1:1") // where nobody is: it tries again and again
        val service = Robolectric.buildService(TrainingJobService::class.java).create().get()
        service.onStartJob(parameters(FIRST_JOB))
        until { app.fedrela.status().isWorking }
        assertTrue(service.onStopJob(parameters(FIRST_JOB)))
        until { !app.fedrela.status().isWorking }
        assertFalse(shadowOf(service).isJobFinished)
        assertEquals(emptyList<JobInfo>(), waiting())
    }

    @Test
    fun `a job whose folder can't be read now asks the system to come again`() {
        app.enrolled("http://127.0.0.1:1")
        SoftKeystore.fault = java.security.ProviderException("the Keystore's process is gone")
        val service = Robolectric.buildService(TrainingJobService::class.java).create().get()
        service.onStartJob(parameters(FIRST_JOB))
        until { shadowOf(service).isJobFinished }
        assertTrue(shadowOf(service).isRescheduleNeeded)
    }

    @Test
    @Config(application = Application::class)
    fun `an app that says nowhere what its device is has jobs that end at once`() {
        assertFalse(ApplicationProvider.getApplicationContext<Application>() is FedrelaHost)
        val service = Robolectric.buildService(TrainingJobService::class.java).create().get()
        assertFalse(service.onStartJob(parameters(FIRST_JOB)))
    }

    private fun parameters(number: Int): JobParameters = Shadow.newInstanceOf(JobParameters::class.java).also {
        ReflectionHelpers.setField(it, "jobId", number)
    }

    private fun until(isReached: () -> Boolean) {
        val deadline = System.currentTimeMillis() + PATIENCE_MS
        while (!isReached()) {
            check(System.currentTimeMillis() < deadline) { "it has taken too long" }
            Thread.sleep(5)
        }
    }
}

package org.fedrela.android

import android.content.Context
import android.os.UserManager
import org.fedrela.android.LastAttempt.End
import org.fedrela.client.World
import org.fedrela.client.storage.StateFolder
import org.fedrela.core.Unavailable
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertNull
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.RobolectricTestRunner
import org.robolectric.Shadows.shadowOf
import org.robolectric.annotation.Config

private const val LINK = "http://127.0.0.1:1/join#abc.00112233445566778899aabbccddeeff"

@RunWith(RobolectricTestRunner::class)
@Config(application = TestApp::class)
class FedrelaTest {
    private val app = TestApp.get()
    private val hurried get() = World(hurry = 1e4)

    @Test
    fun `the folder is left out of backups, and gone once the device has left, with its key`() {
        Coordinator.waiting(60).use { coordinator ->
            app.enrolled(coordinator.url)
            app.fedrela.schedule()
            app.fedrela.leave()
            assertEquals(listOf("DELETE /v1/devices/self"), coordinator.asked)
        }
        assertEquals(app.noBackupFilesDir, stateFolder(app).parentFile)
        assertFalse(stateFolder(app).exists())
        assertEquals(emptySet<String>(), SoftKeystore.keys.keys)
        val status = app.fedrela.status()
        assertNull(status.identity)
        assertFalse(status.isScheduled)
    }

    @Test
    fun `a device that can't tell the coordinator that it leaves stays as it is`() {
        app.enrolled("http://127.0.0.1:1")
        assertThrows(Unavailable::class.java) { app.fedrela.leave() }
        assertEquals("d1", app.fedrela.identity?.deviceId)
    }

    @Test
    fun `the longer nobody answers, the later the next attempt`() {
        app.enrolled("http://127.0.0.1:1")
        val seconds = List(3) { app.fedrela.work(hurried)!! }
        assertTrue("$seconds", seconds[0] in 30.0..60.0 && seconds[1] in 60.0..120.0 && seconds[2] in 120.0..240.0)
        assertEquals(End.AWAY, app.fedrela.status().last?.end)
    }

    @Test
    fun `a coordinator that knows the device no more isn't asked again`() {
        val problem = """{"title": "Unauthorized", "status": 401, "code": "unauthorized", "detail": "no such device",
            "remedy": "enroll again"}"""
        Coordinator(401 to problem).use { coordinator ->
            app.enrolled(coordinator.url)
            assertNull(app.fedrela.work(hurried))
        }
        assertEquals(End.FORGOTTEN, app.fedrela.status().last?.end)
    }

    @Test
    @Config(shadows = [ShadowEnvironment::class])
    fun `telemetry is off before runtimes are asked for`() {
        app.enrolled("http://127.0.0.1:1")
        app.fedrela.work(hurried)
        assertEquals(listOf("1"), app.telemetry.distinct())
        assertEquals(mapOf("ORT_DISABLE_TELEMETRY" to "1"), ShadowEnvironment.variables)
    }

    @Test
    fun `who the device is, how it stands and what it sent are read without a runtime or a look at data`() {
        app.enrolled("http://127.0.0.1:1")
        StateFolder(stateFolder(app)).put("log/sent.jsonl", "one line\n".toByteArray())
        assertEquals("d1", app.fedrela.identity?.deviceId)
        assertEquals("d1", app.fedrela.status().identity?.deviceId)
        assertEquals(listOf("one line"), app.fedrela.sent.lines())
        assertEquals(emptyList<String>(), app.telemetry)
    }

    @Test
    fun `before the phone was first unlocked, nothing is read and nothing taken for gone`() {
        app.enrolled("http://127.0.0.1:1")
        val users = shadowOf(app.getSystemService(Context.USER_SERVICE) as UserManager)
        users.setUserUnlocked(false)
        assertThrows(Unavailable::class.java) { app.fedrela.identity }
        assertThrows(Unavailable::class.java) { app.fedrela.enroll(LINK) }
        assertThrows(Unavailable::class.java) { app.fedrela.work() }
        users.setUserUnlocked(true)
        assertEquals("d1", app.fedrela.identity?.deviceId)
    }

    @Test
    fun `a damaged record is begun anew`() {
        app.enrolled("http://127.0.0.1:1")
        app.fedrela.pause()
        java.io.File(stateFolder(app), "phone.json").writeText("{")
        assertFalse(app.fedrela.status().isPaused)
    }
}

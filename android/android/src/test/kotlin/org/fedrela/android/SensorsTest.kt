@file:Suppress("DEPRECATION") // of what Android offers in place of it, Robolectric has less

package org.fedrela.android

import android.app.ActivityManager
import android.app.Application
import android.content.Context
import android.content.Intent
import android.net.ConnectivityManager
import android.net.NetworkInfo
import android.os.BatteryManager
import android.os.PowerManager
import androidx.test.core.app.ApplicationProvider
import org.fedrela.client.training.obstacles
import org.fedrela.core.task.Eligibility
import org.junit.Assert.assertEquals
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.RobolectricTestRunner
import org.robolectric.Shadows.shadowOf
import org.robolectric.shadows.ShadowNetworkInfo
import org.robolectric.shadows.ShadowStatFs

@RunWith(RobolectricTestRunner::class)
class SensorsTest {
    private val app = ApplicationProvider.getApplicationContext<Application>()
    private val sensors = Sensors(app)

    private inline fun <reified T> service(name: String) = app.getSystemService(name) as T

    private fun battery(plugged: Int, level: Int, scale: Int) = app.sendStickyBroadcast(
        Intent(Intent.ACTION_BATTERY_CHANGED).putExtra(BatteryManager.EXTRA_PLUGGED, plugged)
            .putExtra(BatteryManager.EXTRA_LEVEL, level).putExtra(BatteryManager.EXTRA_SCALE, scale),
    )

    private fun network(type: Int) {
        val (detail, state) = NetworkInfo.DetailedState.CONNECTED to NetworkInfo.State.CONNECTED
        val network = ShadowNetworkInfo.newInstance(detail, type, 0, true, state)
        shadowOf(service<ConnectivityManager>(Context.CONNECTIVITY_SERVICE)).setActiveNetworkInfo(network)
    }

    @Test
    fun `a charger and a battery`() {
        battery(BatteryManager.BATTERY_PLUGGED_USB, 30, 40)
        assertEquals(listOf(true, 75.0), sensors.read().let { listOf(it.onMains, it.batteryPercent) })
        battery(0, 1, 4)
        assertEquals(listOf(false, 25.0), sensors.read().let { listOf(it.onMains, it.batteryPercent) })
        battery(0, -1, 0)
        assertEquals(null, sensors.read().batteryPercent)
    }

    @Test
    fun `a network that costs`() {
        network(ConnectivityManager.TYPE_MOBILE)
        assertEquals(true, sensors.read().isMetered)
        network(ConnectivityManager.TYPE_WIFI)
        assertEquals(false, sensors.read().isMetered)
    }

    @Test
    fun `a phone that is warm, or saves its battery, is throttled`() {
        val power = shadowOf(service<PowerManager>(Context.POWER_SERVICE))
        val seen = listOf(PowerManager.THERMAL_STATUS_LIGHT, PowerManager.THERMAL_STATUS_MODERATE).map {
            power.setCurrentThermalStatus(it)
            sensors.read().isThrottled
        }
        assertEquals(listOf<Boolean?>(false, true), seen)
        power.setCurrentThermalStatus(PowerManager.THERMAL_STATUS_NONE)
        power.setIsPowerSaveMode(true)
        assertEquals(true, sensors.read().isThrottled)
    }

    @Test
    fun `room on the disk and in memory`() {
        ShadowStatFs.registerStats(app.noBackupFilesDir.path, 100, 20, 10)
        val memory = ActivityManager.MemoryInfo().apply { availMem = 12_345 }
        shadowOf(service<ActivityManager>(Context.ACTIVITY_SERVICE)).setMemoryInfo(memory)
        val now = sensors.read()
        assertEquals(10L * ShadowStatFs.BLOCK_SIZE, now.freeDiskBytes)
        assertEquals(12_345L, now.freeMemoryBytes)
        val rule = Eligibility(minFreeMemoryBytes = 20_000)
        assertEquals(listOf("min_free_memory_bytes"), obstacles(now, rule).filter { "memory" in it })
    }

    @Test
    fun `the local time of day`() {
        val before = java.time.LocalTime.now()
        val minute = sensors.read().minuteOfDay!!
        val after = java.time.LocalTime.now()
        assertEquals(true, minute in setOf(60 * before.hour + before.minute, 60 * after.hour + after.minute))
    }
}

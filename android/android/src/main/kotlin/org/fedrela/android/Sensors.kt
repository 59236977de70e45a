package org.fedrela.android

import android.app.ActivityManager
import android.content.Context
import android.content.Intent
import android.content.IntentFilter
import android.net.ConnectivityManager
import android.os.BatteryManager
import android.os.Build
import android.os.PowerManager
import android.os.StatFs
import androidx.annotation.RequiresApi
import org.fedrela.client.training.Conditions
import java.time.LocalTime

private const val MINUTES_OF_AN_HOUR = 60
private const val PERCENT = 100.0

/** What a phone can say of its conditions; what it lacks is null. */
internal class Sensors(private val context: Context) {
    private val power = context.getSystemService(Context.POWER_SERVICE) as PowerManager
    private val network = context.getSystemService(Context.CONNECTIVITY_SERVICE) as ConnectivityManager
    private val activity = context.getSystemService(Context.ACTIVITY_SERVICE) as ActivityManager

    fun read(): Conditions {
        val battery = context.registerReceiver(null, IntentFilter(Intent.ACTION_BATTERY_CHANGED)) // kept by the system
        val now = LocalTime.now()
        return Conditions(
            onMains = battery?.let { it.getIntExtra(BatteryManager.EXTRA_PLUGGED, 0) != 0 },
            batteryPercent = battery?.let(::percent),
            isMetered = network.isActiveNetworkMetered,
            isThrottled = power.isPowerSaveMode || (Build.VERSION.SDK_INT >= 29 && Thermal.isWarm(power)),
            freeDiskBytes = StatFs(context.noBackupFilesDir.path).availableBytes,
            freeMemoryBytes = ActivityManager.MemoryInfo().also(activity::getMemoryInfo).availMem,
            minuteOfDay = MINUTES_OF_AN_HOUR * now.hour + now.minute,
        )
    }

    private fun percent(battery: Intent): Double? {
        val level = battery.getIntExtra(BatteryManager.EXTRA_LEVEL, -1)
        val scale = battery.getIntExtra(BatteryManager.EXTRA_SCALE, 0)
        return if (level >= 0 && scale > 0) PERCENT * level / scale else null
    }
}

@RequiresApi(29)
private object Thermal {
    fun isWarm(power: PowerManager): Boolean = power.currentThermalStatus >= PowerManager.THERMAL_STATUS_MODERATE
}

package org.fedrela.sample

import android.content.Context
import org.fedrela.sample.state.Choices
import org.fedrela.sample.state.Classes
import org.json.JSONArray

private const val CHARGING = "charging"
private const val UNMETERED = "unmetered"
private const val IDLE = "idle"
private const val ONLY_HIDDEN = "only_hidden"
private const val CLASS_COUNT = "class_count"
private const val CLASS_NAMES = "class_names"

/** What the app itself remembers: its owner's choices, and the classes of the task. */
internal class Kept(context: Context) {
    private val preferences = context.getSharedPreferences("sample", Context.MODE_PRIVATE)

    /** All but whether it is paused, which the device remembers. */
    var choices: Choices
        get() = Choices(
            charging = preferences.getBoolean(CHARGING, true),
            unmetered = preferences.getBoolean(UNMETERED, true),
            idle = preferences.getBoolean(IDLE, true),
            onlyHidden = preferences.getBoolean(ONLY_HIDDEN, false),
        )
        set(value) = preferences.edit()
            .putBoolean(CHARGING, value.charging)
            .putBoolean(UNMETERED, value.unmetered)
            .putBoolean(IDLE, value.idle)
            .putBoolean(ONLY_HIDDEN, value.onlyHidden)
            .apply()

    var classes: Classes?
        get() = preferences.getInt(CLASS_COUNT, 0).takeIf { it > 0 }?.let { count ->
            val names = JSONArray(preferences.getString(CLASS_NAMES, "[]").orEmpty())
            Classes(count, (0 until names.length()).map { names.getString(it) })
        }
        set(value) = preferences.edit()
            .putInt(CLASS_COUNT, value?.count ?: 0)
            .putString(CLASS_NAMES, JSONArray(value?.names.orEmpty()).toString())
            .apply()

    fun clear(): Unit = preferences.edit().clear().apply()
}

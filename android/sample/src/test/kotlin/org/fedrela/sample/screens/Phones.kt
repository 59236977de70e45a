package org.fedrela.sample.screens

import android.app.Activity
import android.app.Application
import android.graphics.Bitmap
import android.graphics.Canvas
import android.view.View
import android.view.ViewGroup
import org.fedrela.sample.R
import org.robolectric.Robolectric
import org.robolectric.RuntimeEnvironment
import java.util.concurrent.Executor

/** A way in which a phone may be set. */
internal enum class Phone(val qualifiers: String, val fontScale: Float = 1f) {
    LIGHT("en-notnight"),
    DARK("en-night"),
    GERMAN("de-notnight"),
    LARGE("en-notnight", 2f),
    GERMAN_LARGE_DARK("de-night", 2f),
}

private const val SIZE = "w360dp-h740dp-port" // a small phone of today
private const val TABLET = "w840dp-h1100dp-port"

/** A screen on a phone, in its activity, laid out in full height. */
internal fun <T> drawn(phone: Phone, isTablet: Boolean = false, use: (Activity) -> T): T {
    val (language, night) = phone.qualifiers.split('-')
    RuntimeEnvironment.setQualifiers("$language-${if (isTablet) TABLET else SIZE}-$night-xhdpi")
    RuntimeEnvironment.setFontScale(phone.fontScale)
    val controller = Robolectric.buildActivity(Bare::class.java)
    controller.get().setTheme(R.style.Theme_Sample)
    return controller.use { use(it.setup().get()) }
}

/** An activity that shows what a test draws. */
internal class Bare : Activity()

/** An application that does nothing: no device, no thread. */
internal class NoApp : Application()

internal val AT_ONCE = Executor { it.run() }

internal fun frame(activity: Activity, actions: Actions = Actions()) = Frame(activity, Thumbnails(AT_ONCE), actions)

/** The whole content, however high, measured at the width of the phone. */
internal fun laidOut(activity: Activity): View {
    val frame = activity.findViewById<ViewGroup>(R.id.frame)!!
    val pixels = activity.resources.displayMetrics.widthPixels
    val width = View.MeasureSpec.makeMeasureSpec(pixels, View.MeasureSpec.EXACTLY)
    frame.measure(width, View.MeasureSpec.makeMeasureSpec(0, View.MeasureSpec.UNSPECIFIED))
    val content = frame.getChildAt(0)
    val height = maxOf(frame.measuredHeight, content.measuredHeight)
    frame.measure(width, View.MeasureSpec.makeMeasureSpec(height, View.MeasureSpec.EXACTLY))
    frame.layout(0, 0, frame.measuredWidth, frame.measuredHeight)
    return frame
}

internal fun pixels(view: View): Bitmap {
    view.jumpDrawablesToCurrentState() // a box that is being checked is checked
    val bitmap = Bitmap.createBitmap(view.width, view.height, Bitmap.Config.ARGB_8888)
    view.draw(Canvas(bitmap))
    return bitmap
}

/** A view and everything in it that is shown. */
internal fun shown(view: View): List<View> = when {
    view.visibility != View.VISIBLE -> emptyList()
    view is ViewGroup -> listOf<View>(view) + (0 until view.childCount).flatMap { shown(view.getChildAt(it)) }
    else -> listOf(view)
}

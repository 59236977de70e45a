package org.fedrela.sample.screens

import android.graphics.Bitmap
import android.view.View
import android.widget.Button
import android.widget.CheckBox
import android.widget.EditText
import android.widget.ImageButton
import android.widget.Spinner
import android.widget.TextView
import org.fedrela.sample.R
import org.junit.Assert.assertEquals
import org.junit.Assert.assertTrue
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.RobolectricTestRunner
import org.robolectric.annotation.Config
import org.robolectric.shadows.ShadowLooper
import java.io.File

private const val TOUCH_DP = 48
private val PICTURED = listOf("tablet", "consent-secure", "home-unsorted", "join-expired", "sent")
private const val LEAST_CONTRAST = 4.5 // WCAG 2.1, of text

/** Every screen on every phone: written as a picture, for people to look at, and measured. */
@RunWith(RobolectricTestRunner::class)
@Config(sdk = [35], application = NoApp::class)
class DrawnScreensTest {
    private val folder = File(System.getProperty("screens") ?: "target/screens").apply { mkdirs() }

    @Test
    fun light() = onPhone(Phone.LIGHT)

    @Test
    fun dark() = onPhone(Phone.DARK)

    @Test
    fun german() = onPhone(Phone.GERMAN)

    @Test
    fun large() = onPhone(Phone.LARGE)

    @Test
    fun `german, large and dark`() = onPhone(Phone.GERMAN_LARGE_DARK)

    @Test
    fun `on a tablet lines stay short`() = drawn(Phone.LIGHT, isTablet = true) { activity ->
        frame(activity).draw(screens(activity).getValue("home"))
        ShadowLooper.idleMainLooper()
        check("tablet-home", laidOut(activity))
    }

    private fun onPhone(phone: Phone) = drawn(phone) { activity ->
        val frame = frame(activity)
        for ((name, screen) in screens(activity)) {
            frame.draw(screen)
            ShadowLooper.idleMainLooper()
            check("$name-${phone.name.lowercase(java.util.Locale.ROOT)}", laidOut(activity))
        }
        drawSent(activity, SENT)
        check("sent-${phone.name.lowercase(java.util.Locale.ROOT)}", laidOut(activity))
    }

    private fun check(name: String, view: View) {
        val all = shown(view)
        all.filterIsInstance<TextView>().forEach { checkWhole(name, it) }
        all.filter { it.isClickable && it.isFocusable }.forEach { checkTouch(name, it) }
        if (!isPictured(name)) return
        val bitmap = pixels(view)
        File(folder, "$name.png").outputStream().use { bitmap.compress(Bitmap.CompressFormat.PNG, 100, it) }
        val colors = IntArray(bitmap.width * bitmap.height)
        bitmap.getPixels(colors, 0, bitmap.width, 0, 0, bitmap.width, bitmap.height)
        assertTrue("$name is empty", colors.toSet().size > 10)
    }

    /** Pictures take long: all of them by light, and those that hold every kind of view in the other settings. */
    private fun isPictured(name: String) = name.endsWith("-light") || PICTURED.any { name.startsWith(it) }

    /** No text is cut off: neither by an ellipsis, nor at the bottom, nor at the side of the phone. */
    private fun checkWhole(screen: String, text: TextView) {
        val layout = text.layout ?: return
        val name = "$screen: ${text.text.take(30)}"
        assertEquals(name, 0, (0 until layout.lineCount).sumOf { layout.getEllipsisCount(it) })
        val room = text.height - text.compoundPaddingTop - text.compoundPaddingBottom
        if (text !is EditText) assertTrue(name, layout.height <= room)
        assertTrue(name, layout.width <= text.width)
    }

    /** What can be pressed is large enough, and says what it is. */
    private fun checkTouch(screen: String, view: View) {
        val name = "$screen: $view"
        val least = (TOUCH_DP * view.resources.displayMetrics.density).toInt()
        assertTrue("$name is ${view.width}x${view.height}", view.height >= least && view.width >= least)
        val label = view.contentDescription ?: (view as? TextView)?.text
        assertTrue(name, view is EditText || !label.isNullOrBlank())
    }

    @Test
    fun `texts can be told from what they lie on, by light and by night`() {
        for (phone in listOf(Phone.LIGHT, Phone.DARK)) drawn(phone) { activity ->
            fun color(id: Int) = activity.getColor(id)
            val pairs = listOf(
                R.color.text to R.color.page, R.color.text to R.color.card, R.color.text to R.color.warning,
                R.color.soft to R.color.page, R.color.soft to R.color.card, R.color.main to R.color.card,
                R.color.on_main to R.color.main, R.color.danger to R.color.card,
            )
            for ((text, under) in pairs) {
                val contrast = contrast(color(text), color(under))
                assertTrue("$phone ${activity.resources.getResourceName(text)} $contrast", contrast >= LEAST_CONTRAST)
            }
        }
    }

    @Test
    fun `every kind of control is among those that are measured`() = drawn(Phone.LIGHT) { activity ->
        val frame = frame(activity)
        val kinds = screens(activity).values.flatMap { screen ->
            frame.draw(screen)
            shown(laidOut(activity)).map { it.javaClass }
        }.toSet()
        val controls = setOf(Button::class, CheckBox::class, EditText::class, ImageButton::class, Spinner::class)
        assertEquals(emptySet<Class<*>>(), controls.map { it.java }.toSet() - kinds)
    }
}

private fun contrast(one: Int, other: Int): Double {
    val (light, dark) = listOf(one, other).map { android.graphics.Color.luminance(it).toDouble() }.sortedDescending()
    return (light + 0.05) / (dark + 0.05)
}

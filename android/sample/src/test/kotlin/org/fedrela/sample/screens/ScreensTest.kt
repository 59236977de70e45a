package org.fedrela.sample.screens

import android.app.Activity
import android.view.View
import android.view.ViewGroup
import android.widget.Button
import android.widget.CheckBox
import android.widget.EditText
import android.widget.ImageButton
import android.widget.ProgressBar
import android.widget.TextView
import org.fedrela.sample.R
import org.fedrela.sample.state.Choices
import org.fedrela.sample.state.Consenting
import org.fedrela.sample.state.Home
import org.fedrela.sample.state.Joining
import org.fedrela.sample.state.PictureClass
import org.fedrela.sample.state.Work
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertSame
import org.junit.Assert.assertTrue
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.RobolectricTestRunner
import org.robolectric.annotation.Config

/** What the owner presses comes to pass, and what can't be done now can't be pressed. */
@RunWith(RobolectricTestRunner::class)
@Config(application = NoApp::class)
class ScreensTest {
    private val done = mutableListOf<Any>()
    private val actions = Actions(
        look = { done += it },
        agree = { done += "agree" },
        refuse = { done += "refuse" },
        trainNow = { done += "train" },
        choose = { done += it },
        addPictures = { done += it },
        removePicture = { done += it },
        sortAs = { unsorted, into -> done += unsorted to into },
        showSent = { done += "sent" },
        leave = { done += "leave" },
    )

    private fun onPhone(test: (Activity, Frame) -> Unit) = drawn(Phone.LIGHT) { test(it, frame(it, actions)) }

    private fun Activity.press(id: Int) = assertTrue(findViewById<View>(id)!!.performClick())

    private fun Activity.button(id: Int) = findViewById<Button>(id)!!

    @Test
    fun `a pasted link is looked at, once at a time`() = onPhone { activity, frame ->
        frame.draw(Joining())
        activity.findViewById<EditText>(R.id.link)!!.setText("https://a.org/join#b.c")
        activity.press(R.id.look)
        assertEquals(listOf<Any>("https://a.org/join#b.c"), done)
        frame.draw(Joining("https://a.org/join#b.c", isAsking = true))
        assertFalse(activity.button(R.id.look).isEnabled)
    }

    @Test
    fun `who agrees joins, and who doesn't goes back`() = onPhone { activity, frame ->
        frame.draw(Consenting("", listOf(SECURE)))
        activity.press(R.id.agree)
        activity.press(R.id.refuse)
        assertEquals(listOf<Any>("agree", "refuse"), done)
        frame.draw(Consenting("", listOf(SECURE), isJoining = true))
        assertFalse(activity.button(R.id.agree).isEnabled || activity.button(R.id.refuse).isEnabled)
    }

    @Test
    fun `nothing is trained without pictures`() = onPhone { activity, frame ->
        frame.draw(Home(classes = listOf(PictureClass("wren", "wren"))))
        assertFalse(activity.button(R.id.main).isEnabled)
        frame.draw(Home(classes = listOf(PictureClass("wren", "wren", listOf("a")))))
        activity.press(R.id.main)
        assertEquals(listOf<Any>("train"), done)
    }

    @Test
    fun `what is under way can be paused, and goes on`() = onPhone { activity, frame ->
        frame.draw(Home(Work.Training(1, 2, 10)))
        activity.press(R.id.main)
        frame.draw(Home(Work.Stopping, choices = Choices(isPaused = true)))
        assertFalse(activity.button(R.id.main).isEnabled)
        frame.draw(Home(Work.Paused, choices = Choices(isPaused = true)))
        activity.press(R.id.main)
        frame.draw(Home())
        activity.press(R.id.pause)
        assertEquals(listOf<Any>(Choices(isPaused = true), Choices(isPaused = false), Choices(isPaused = true)), done)
    }

    @Test
    fun `each choice is handed on by itself, and drawing is none`() = onPhone { activity, frame ->
        frame.draw(Home())
        for (id in listOf(R.id.charging, R.id.unmetered, R.id.idle, R.id.hidden))
            activity.findViewById<CheckBox>(id)!!.toggle()
        val all = Choices()
        assertEquals(
            listOf<Any>(
                all.copy(charging = false),
                all.copy(unmetered = false),
                all.copy(idle = false),
                all.copy(onlyHidden = true),
            ),
            done,
        )
        frame.draw(Home(choices = all.copy(idle = false)))
        assertFalse(activity.findViewById<CheckBox>(R.id.idle)!!.isChecked)
        assertEquals(4, done.size)
    }

    @Test
    fun `pictures are added to a class, taken away, and sorted anew`() = onPhone { activity, frame ->
        val (robin, wren) = PictureClass("robin", "robin", listOf(picture(activity, 1))) to PictureClass("wren", "wren")
        val zebra = PictureClass("zebra", "zebra", listOf(picture(activity, 2)))
        frame.draw(Home(classes = listOf(robin, wren), unsorted = listOf(zebra)))
        val entries = activity.findViewById<ViewGroup>(R.id.classes)!!
        assertTrue(shown(entries.getChildAt(0)).first { it is ImageButton }.performClick())
        assertTrue(entries.getChildAt(1).findViewById<View>(R.id.add)!!.performClick())
        assertTrue(entries.getChildAt(2).findViewById<View>(R.id.use)!!.performClick())
        assertEquals(listOf(robin.pictures.single(), wren, zebra to robin), done)
    }

    @Test
    fun `a step moves the bar alone, and is not read aloud each time`() = onPhone { activity, frame ->
        frame.draw(Home(Work.Training(1, 2, 10), classes = listOf(PictureClass("wren", "wren"))))
        val entry = activity.findViewById<ViewGroup>(R.id.classes)!!.getChildAt(0)
        frame.draw(Home(Work.Training(1, 7, 10), classes = listOf(PictureClass("wren", "wren"))))
        assertSame(entry, activity.findViewById<ViewGroup>(R.id.classes)!!.getChildAt(0))
        assertEquals(7, activity.findViewById<ProgressBar>(R.id.progress)!!.progress)
        val doing = activity.findViewById<View>(R.id.doing)!!
        assertEquals(View.ACCESSIBILITY_LIVE_REGION_NONE, doing.accessibilityLiveRegion)
    }

    @Test
    fun `the rest leads where it says`() = onPhone { activity, frame ->
        frame.draw(Home())
        activity.press(R.id.show_sent)
        activity.press(R.id.leave)
        assertEquals(listOf<Any>("sent", "leave"), done)
        frame.draw(Home(isLeaving = true))
        assertFalse(activity.button(R.id.leave).isEnabled)
        assertEquals(activity.getString(R.string.leaving), activity.findViewById<TextView>(R.id.status)!!.text)
    }
}

package org.fedrela.sample

import android.app.Application
import androidx.test.core.app.ApplicationProvider
import org.fedrela.sample.screens.AT_ONCE
import org.fedrela.sample.screens.NoApp
import org.fedrela.sample.state.Choices
import org.fedrela.sample.state.Classes
import org.fedrela.sample.state.Fault
import org.fedrela.sample.state.Joining
import org.fedrela.sample.state.Screen
import org.junit.Assert.assertEquals
import org.junit.Assert.assertNull
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.RobolectricTestRunner
import org.robolectric.annotation.Config

@RunWith(RobolectricTestRunner::class)
@Config(application = NoApp::class)
class DeviceTest {
    private val app = ApplicationProvider.getApplicationContext<Application>()
    private val drawn = mutableListOf<Screen>()
    private val device = Device(app, { emptyList() }, AT_ONCE, AT_ONCE).apply { draws = { drawn += it } }

    @Test
    fun `an app that hasn't joined asks for a link`() {
        assertNull(device.screen)
        device.begin()
        assertEquals(listOf<Screen>(Joining()), drawn)
    }

    @Test
    fun `what is no link is said to be none, and stays to be mended`() {
        device.begin()
        device.look("https://example.org/join")
        val asking = Joining("https://example.org/join", isAsking = true)
        val failed = asking.copy(isAsking = false, fault = Fault(Fault.Kind.NOT_A_LINK))
        assertEquals(listOf<Screen>(Joining(), asking, failed), drawn)
    }

    @Test
    fun `a link that another app shares waits in its field, whichever comes first`() {
        val link = "https://example.org/join#a.b"
        device.shared("Please join: $link thank you")
        device.begin()
        assertEquals(Joining(link), device.screen)
        device.shared("${link}c")
        assertEquals(Joining("${link}c"), device.screen)
    }

    @Test
    fun `choices and classes outlive the app, whatever a class is called`() {
        val classes = Classes(2, listOf("a \"b\"\n,c", "ü/.."))
        val choices = Choices(charging = false, onlyHidden = true)
        Kept(app).run {
            this.choices = choices
            this.classes = classes
        }
        assertEquals(choices to classes, Kept(app).run { this.choices to this.classes })
        Kept(app).clear()
        assertEquals(Choices() to null, Kept(app).run { this.choices to this.classes })
    }
}

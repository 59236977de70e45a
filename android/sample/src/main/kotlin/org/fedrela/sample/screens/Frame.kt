package org.fedrela.sample.screens

import android.app.Activity
import android.view.View
import android.view.ViewGroup
import android.widget.TextView
import org.fedrela.sample.R
import org.fedrela.sample.state.Consenting
import org.fedrela.sample.state.Home
import org.fedrela.sample.state.Joining
import org.fedrela.sample.state.Screen
import org.fedrela.sample.words.sentence

/**
 * Draws screens into an activity. A screen of the kind that is there already is changed in place, so that nobody's
 * place in it is lost, and only what changed is read aloud.
 */
internal class Frame(
    private val activity: Activity,
    private val thumbnails: Thumbnails,
    private val actions: Actions,
) {
    private var drawn: Screen? = null

    fun draw(screen: Screen) {
        val before = drawn
        drawn = screen
        if (before == null) activity.setContentView(R.layout.frame)
        if (before?.javaClass != screen.javaClass) begin(screen)
        say(R.id.alert, screen.fault?.let { sentence(activity, it) })
        say(R.id.status, statusOf(screen))
        val content = view<ViewGroup>(R.id.content).getChildAt(0)
        when (screen) {
            is Joining -> drawJoining(content, screen, before as? Joining, actions)
            is Consenting -> drawConsenting(content, screen, before as? Consenting, actions)
            is Home -> drawHome(content, screen, before as? Home, thumbnails, actions)
        }
    }

    private fun begin(screen: Screen) {
        val content = view<ViewGroup>(R.id.content)
        content.removeAllViews()
        val layout = when (screen) {
            is Joining -> R.layout.join
            is Consenting -> R.layout.consent
            is Home -> R.layout.home
        }
        activity.layoutInflater.inflate(layout, content, true)
        view<View>(R.id.frame).scrollTo(0, 0)
    }

    /** What the app is about to do, or has done. */
    private fun statusOf(screen: Screen): String? = when (screen) {
        is Joining -> when {
            screen.isAsking -> activity.getString(R.string.join_asking)
            screen.hasLeft -> activity.getString(R.string.left)
            else -> null
        }
        is Consenting -> if (screen.isJoining) activity.getString(R.string.consent_joining) else null
        is Home -> if (screen.isLeaving) activity.getString(R.string.leaving)
        else screen.notice?.let { sentence(activity, it) }
    }

    /** A text that is read aloud when it changes; no text: no box. */
    private fun say(id: Int, text: String?) {
        val box = view<TextView>(id)
        if (text != null && box.text.toString() != text) box.text = text
        if (text == null) box.text = ""
        box.visibility = if (text == null) View.GONE else View.VISIBLE
    }

    private fun <T : View> view(id: Int): T = activity.findViewById<T>(id)!!
}

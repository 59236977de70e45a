package org.fedrela.sample.words

import android.app.Activity
import org.fedrela.sample.R
import org.fedrela.sample.screens.NoApp
import org.fedrela.sample.screens.PLAIN
import org.fedrela.sample.screens.Phone
import org.fedrela.sample.screens.SECURE
import org.fedrela.sample.screens.UNSIGNED
import org.fedrela.sample.screens.drawn
import org.fedrela.sample.state.Fault
import org.fedrela.sample.state.Hold
import org.fedrela.sample.state.SentRow
import org.fedrela.sample.state.Terms
import org.fedrela.sample.state.Wait
import org.fedrela.sample.state.Work
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertTrue
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.RobolectricTestRunner
import org.robolectric.annotation.Config

/** What an owner agrees to is true of the task: in both languages. */
@RunWith(RobolectricTestRunner::class)
@Config(application = NoApp::class)
class ConsentTest {
    private fun inBothLanguages(test: (Activity) -> Unit) {
        for (phone in listOf(Phone.LIGHT, Phone.GERMAN)) drawn(phone, use = test)
    }

    private fun text(activity: Activity, vararg terms: Terms) = consent(activity, terms.toList()).joinToString("\n") {
        when (it) {
            is Block.Heading -> it.text
            is Block.Paragraph -> it.text
            is Block.Bullet -> it.text
        }
    }

    @Test
    fun `a plain task is said to show the operator which classes one has`() = inBothLanguages { activity ->
        val text = text(activity, PLAIN)
        assertTrue(activity.getString(R.string.consent_plain) in text)
        assertTrue(activity.getString(R.string.never_classes_plain) in text)
        assertFalse(activity.getString(R.string.never_classes_hidden) in text)
    }

    @Test
    fun `a secure task says among how many, and who could undo it`() = inBothLanguages { activity ->
        val words = activity.resources
        val text = text(activity, SECURE)
        assertTrue(words.getQuantityString(R.plurals.consent_hidden, 5, 5) in text)
        assertTrue(words.getQuantityString(R.plurals.consent_sum, 2, 2) in text)
        assertTrue(activity.getString(R.string.consent_no_fleet) in text)
        assertTrue(activity.getString(R.string.never_classes_hidden) in text)
        assertFalse(activity.getString(R.string.consent_plain) in text)
        val vouched = SECURE.copy(hiding = SECURE.hiding!!.copy(isVouched = true))
        assertFalse(activity.getString(R.string.consent_no_fleet) in text(activity, vouched))
    }

    @Test
    fun `one plain task among others is enough to say what it shows`() = inBothLanguages { activity ->
        assertTrue(activity.getString(R.string.never_classes_plain) in text(activity, SECURE, PLAIN))
    }

    @Test
    fun `the publisher, the sizes and a small cohort are said`() = inBothLanguages { activity ->
        val text = text(activity, PLAIN)
        assertTrue("81eb c23c 5a9d d613 4b15 a789 ef86 efa0" in text)
        val traffic = PLAIN.traffic!!
        for (size in listOf(traffic.program, traffic.checkpoint, traffic.update.toLong(), traffic.failure.toLong()))
            assertTrue(bytes(activity, size), bytes(activity, size) in text)
        assertTrue(activity.resources.getQuantityString(R.plurals.consent_few, 1, 1) in text)
        assertFalse(activity.resources.getQuantityString(R.plurals.consent_few, 5, 5) in text(activity, SECURE))
    }

    @Test
    fun `a task that this phone can't do says why, and nothing that it would send`() = inBothLanguages { activity ->
        val text = text(activity, UNSIGNED)
        assertTrue(activity.getString(R.string.obstacle_publisher) in text)
        assertFalse(activity.getString(R.string.consent_leaves) in text)
        assertTrue(activity.getString(R.string.obstacle_pictures) in text(activity, PLAIN.copy(takesPictures = false)))
    }

    @Test
    fun `every state, fault and message has a sentence of its own`() = inBothLanguages { activity ->
        val work = listOf(
            Work.Asking, Work.Preparing(1), Work.Training(1, 2, 3), Work.HandingIn(1), Work.Grouping(1), Work.Paused,
            Work.Sent(1, isHidden = false), Work.Sent(1, isHidden = true), Work.Stopping, Work.Idle,
        ) + Hold.entries.map { Work.Held(listOf(it)) } + Wait.entries.map { Work.Waiting(it) }
        val sentences = work.map { sentence(activity, it, pictures = 1) } +
            sentence(activity, Work.Idle, pictures = 0) +
            Fault.Kind.entries.map { sentence(activity, Fault(it, "problem")) } +
            SentRow.Kind.entries.map { nameOf(activity, it) }
        assertEquals(sentences.size, sentences.toSet().size)
    }
}

package org.fedrela.sample.screens

import android.view.View
import android.view.ViewGroup
import android.view.inputmethod.EditorInfo
import android.widget.Button
import android.widget.EditText
import android.widget.TextView
import org.fedrela.sample.R
import org.fedrela.sample.state.Consenting
import org.fedrela.sample.state.Joining
import org.fedrela.sample.words.Block
import org.fedrela.sample.words.consent

private const val FIELD_LINES = 4

internal fun drawJoining(root: View, screen: Joining, before: Joining?, actions: Actions) {
    val field = root.findViewById<EditText>(R.id.link)!!
    val button = root.findViewById<Button>(R.id.look)!!
    // A link is one line to the keyboard, whose key says "go", and several to the eye.
    field.setHorizontallyScrolling(false)
    field.maxLines = FIELD_LINES
    if (screen.link != before?.link) field.setText(screen.link)
    button.isEnabled = !screen.isAsking
    button.setOnClickListener { actions.look(field.text.toString()) }
    field.setOnEditorActionListener { _, action, _ ->
        val isGo = action == EditorInfo.IME_ACTION_GO && !screen.isAsking
        if (isGo) actions.look(field.text.toString())
        isGo
    }
}

internal fun drawConsenting(root: View, screen: Consenting, before: Consenting?, actions: Actions) {
    val agree = root.findViewById<Button>(R.id.agree)!!
    val refuse = root.findViewById<Button>(R.id.refuse)!!
    val terms = root.findViewById<ViewGroup>(R.id.terms)!!
    if (screen.terms != before?.terms) drawBlocks(terms, consent(root.context, screen.terms))
    for (button in listOf(agree, refuse)) button.isEnabled = !screen.isJoining
    agree.setOnClickListener { actions.agree() }
    refuse.setOnClickListener { actions.refuse() }
}

private fun drawBlocks(into: ViewGroup, blocks: List<Block>) {
    into.removeAllViews()
    var isAfterText = false // two paragraphs in a row are kept apart
    for (block in blocks) {
        val gap = into.resources.getDimensionPixelSize(R.dimen.small_gap)
        when (block) {
            is Block.Heading -> inflated<TextView>(into, R.layout.heading).text = block.text
            is Block.Paragraph -> inflated<TextView>(into, R.layout.paragraph).run {
                text = block.text
                if (isAfterText) (layoutParams as ViewGroup.MarginLayoutParams).topMargin = gap
            }
            is Block.Bullet -> inflated<View>(into, R.layout.bullet).run {
                findViewById<TextView>(R.id.text)!!.text = block.text
            }
        }
        isAfterText = block is Block.Paragraph
    }
}

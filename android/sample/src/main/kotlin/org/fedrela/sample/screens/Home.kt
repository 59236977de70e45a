package org.fedrela.sample.screens

import android.view.View
import android.view.ViewGroup
import android.widget.Button
import android.widget.CheckBox
import android.widget.ProgressBar
import android.widget.TextView
import org.fedrela.sample.R
import org.fedrela.sample.state.Choices
import org.fedrela.sample.state.Home
import org.fedrela.sample.state.Work
import org.fedrela.sample.words.bytes
import org.fedrela.sample.words.sentence

internal fun drawHome(root: View, screen: Home, before: Home?, thumbnails: Thumbnails, actions: Actions) {
    drawWork(root, screen)
    if (screen.figures != before?.figures) drawFigures(root, screen)
    drawButtons(root, screen, actions)
    if (screen.classes != before?.classes || screen.unsorted != before?.unsorted)
        drawPictures(root, screen, thumbnails, actions)
    drawChoices(root, screen.choices, actions)
    root.findViewById<Button>(R.id.show_sent)!!.setOnClickListener { actions.showSent() }
    val leave = root.findViewById<Button>(R.id.leave)!!
    leave.isEnabled = !screen.isLeaving
    leave.setOnClickListener { actions.leave() }
}

private fun drawWork(root: View, screen: Home) {
    val (doing, bar) = root.findViewById<TextView>(R.id.doing)!! to root.findViewById<ProgressBar>(R.id.progress)!!
    val work = if (screen.choices.isPaused && !screen.work.isBusy) Work.Paused else screen.work
    val text = sentence(root.context, work, screen.pictures)
    if (doing.text.toString() != text) doing.text = text
    // Steps come several times a second: they are seen, and read aloud by whoever asks.
    doing.accessibilityLiveRegion =
        if (work is Work.Training) View.ACCESSIBILITY_LIVE_REGION_NONE else View.ACCESSIBILITY_LIVE_REGION_POLITE
    bar.visibility = if (work is Work.Training || work is Work.Sent) View.VISIBLE else View.GONE
    bar.contentDescription = text
    bar.max = if (work is Work.Training) work.steps else 1
    bar.progress = if (work is Work.Training) work.step else 1
}

private fun drawFigures(root: View, screen: Home) {
    val figures = root.findViewById<ViewGroup>(R.id.figures)!!
    figures.removeAllViews()
    addFigure(figures, root.context.getString(R.string.rounds_done), screen.figures.rounds.toString())
    addFigure(figures, root.context.getString(R.string.bytes_sent), bytes(root.context, screen.figures.sentBytes))
}

private fun drawButtons(root: View, screen: Home, actions: Actions) {
    val (main, pause) = root.findViewById<Button>(R.id.main)!! to root.findViewById<Button>(R.id.pause)!!
    val (choices, isBusy) = screen.choices to screen.work.isBusy
    val goesOn = { actions.choose(choices.copy(isPaused = false)) }
    val pauses = { actions.choose(choices.copy(isPaused = true)) }
    val (text, does) = when {
        choices.isPaused && screen.work != Work.Stopping -> R.string.go_on to goesOn
        isBusy || choices.isPaused -> R.string.pause to pauses
        else -> R.string.train_now to actions.trainNow
    }
    main.setText(text)
    main.isEnabled = !screen.isLeaving && when (text) {
        R.string.train_now -> screen.pictures > 0
        R.string.pause -> !choices.isPaused
        else -> true
    }
    main.setOnClickListener { does() }
    pause.visibility = if (text == R.string.train_now) View.VISIBLE else View.GONE
    pause.setOnClickListener { pauses() }
}

private fun drawChoices(root: View, choices: Choices, actions: Actions) {
    fun box(id: Int, isChecked: Boolean, chosen: (Boolean) -> Choices) {
        val box = root.findViewById<CheckBox>(id)!!
        box.setOnCheckedChangeListener(null)
        box.isChecked = isChecked
        box.setOnCheckedChangeListener { _, now -> actions.choose(chosen(now)) }
    }
    box(R.id.charging, choices.charging) { choices.copy(charging = it) }
    box(R.id.unmetered, choices.unmetered) { choices.copy(unmetered = it) }
    box(R.id.idle, choices.idle) { choices.copy(idle = it) }
    box(R.id.hidden, choices.onlyHidden) { choices.copy(onlyHidden = it) }
}

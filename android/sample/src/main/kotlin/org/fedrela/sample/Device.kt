package org.fedrela.sample

import android.app.Application
import android.net.Uri
import android.os.SystemClock
import org.fedrela.android.Fedrela
import org.fedrela.android.Schedule
import org.fedrela.android.add
import org.fedrela.android.pictureFolder
import org.fedrela.client.Event
import org.fedrela.client.Settings
import org.fedrela.client.engine.EngineFactory
import org.fedrela.core.FedRelaError
import org.fedrela.core.InvalidData
import org.fedrela.sample.state.Choices
import org.fedrela.sample.state.Consenting
import org.fedrela.sample.state.Fault
import org.fedrela.sample.state.Home
import org.fedrela.sample.state.Joining
import org.fedrela.sample.state.Notice
import org.fedrela.sample.state.PictureClass
import org.fedrela.sample.state.Screen
import org.fedrela.sample.state.SentRows
import org.fedrela.sample.state.Work
import org.fedrela.sample.state.classesOf
import org.fedrela.sample.state.faultOf
import org.fedrela.sample.state.figuresOf
import org.fedrela.sample.state.joiningFault
import org.fedrela.sample.state.sentRows
import org.fedrela.sample.state.termsOf
import org.fedrela.sample.state.with
import org.fedrela.sample.state.workAfter
import org.fedrela.sample.state.workingFault
import java.io.File
import java.util.concurrent.Executor

private const val HIDDEN_AMONG = 5 // others at least, where the owner wants to be hidden
private val BLANKS = Regex("\\s+")
private const val TELL_MILLISECONDS = 100L // between two steps that are shown
private const val LOOK_MILLISECONDS = 50L // between two looks whether the work that was told to stop has stopped

/**
 * This app's device, and what its screens show of it. `background` runs what blocks, `main` what draws: screens change
 * in it alone.
 */
internal class Device(
    private val app: Application,
    private val runtimes: () -> List<EngineFactory>,
    private val background: Executor,
    private val main: Executor,
) {
    private val pictures = pictureFolder(File(app.filesDir, "pictures"))
    private val kept = Kept(app)
    private var sharedLink = "" // of another app, for who hasn't joined
    private var toldAt = 0L // milliseconds, of the newest step that was shown

    @Volatile
    var fedrela: Fedrela = made(kept.choices)
        private set

    /** What is shown now; null before it is known whether this app has joined. */
    var screen: Screen? = null
        private set

    /** Who draws; told in the main thread. */
    var draws: (Screen) -> Unit = {}

    /** At the app's start, of its own or the system's accord. */
    fun begin() = behind(::workingFault) {
        if (fedrela.identity == null) return@behind inMain { draw(Joining(sharedLink)) }
        show(home())
        fedrela.schedule()
        refresh()
    }

    fun look(link: String) {
        show(Joining(link, isAsking = true))
        behind(::joiningFault) {
            val offers = fedrela.offers(link.trim())
            kept.classes = classesOf(offers)
            val runtime = runtimes().first()
            show(Consenting(link.trim(), termsOf(offers, link.trim(), "${runtime.name} ${runtime.version}")))
        }
    }

    /** A text that another app has shared: the link in it is put into the field, for its owner to go on. */
    fun shared(text: String) {
        sharedLink = text.split(BLANKS).find { it.startsWith("http") } ?: text
        if (screen is Joining) draw(Joining(sharedLink))
    }

    fun refuse() = show(Joining())

    fun agree() {
        val consenting = screen as? Consenting ?: return
        show(consenting.copy(isJoining = true, fault = null))
        behind(::joiningFault) {
            fedrela.enroll(consenting.link)
            show(home())
        }
    }

    /** Work now, whatever the phone's conditions are: its owner has asked for it. */
    fun trainNow() {
        change { it.copy(work = Work.Asking, fault = null, notice = null) }
        behind(::workingFault) {
            fedrela.work()
            showHow()
        }
    }

    /** What the owner has chosen holds from now on: what is under way ends, and begins anew by the new rule. */
    fun choose(choices: Choices) {
        val before = (screen as? Home)?.choices ?: return
        change { it.copy(choices = choices, work = if (choices.isPaused && it.work.isBusy) Work.Stopping else it.work) }
        behind(::workingFault) {
            fedrela.pause()
            while (fedrela.status().isWorking) Thread.sleep(LOOK_MILLISECONDS)
            if (choices != before.copy(isPaused = choices.isPaused)) {
                kept.choices = choices
                fedrela = made(choices)
            }
            if (!choices.isPaused) fedrela.resume()
            change { if (choices.isPaused) it.copy(work = Work.Paused) else it }
            if (before.isPaused && !choices.isPaused) inMain(::trainNow)
        }
    }

    /** Copy pictures into the app, as a class. */
    fun addPictures(word: String, from: List<Uri>) = behind(::workingFault) {
        val added = from.count { uri ->
            try {
                pictures.add(word, app.contentResolver, uri)
                true
            } catch (_: InvalidData) {
                false
            }
        }
        showPictures(Notice.Added(added, from.size - added))
    }

    fun removePicture(path: String) = behind(::workingFault) {
        pictures.pictures().filter { it.file.path == path }.forEach(pictures::remove)
        showPictures(null)
    }

    fun sortAs(unsorted: PictureClass, into: PictureClass) = behind(::workingFault) {
        for (path in unsorted.pictures) pictures.add(into.word, app.contentResolver, Uri.fromFile(File(path)))
        showPictures(null)
    }

    /** Everything that was sent, handed to `use` in the main thread. */
    fun sent(use: (SentRows) -> Unit) = behind(::workingFault) {
        val rows = sentRows(fedrela.sent.lines())
        inMain { use(rows) }
    }

    /** Leave, and delete everything, pictures too. */
    fun leave() {
        change { it.copy(isLeaving = true, fault = null, notice = null) }
        behind(::workingFault) {
            fedrela.leave()
            pictures.pictures().forEach(pictures::remove)
            kept.clear()
            fedrela = made(kept.choices)
            show(Joining(hasLeft = true))
        }
    }

    private fun made(choices: Choices): Fedrela {
        val settings = Settings(smallestGroup = if (choices.onlyHidden) HIDDEN_AMONG else 0)
        val schedule = Schedule(choices.charging, choices.unmetered, choices.idle)
        return Fedrela(app, pictures, runtimes, settings, schedule).also { it.watch({ told -> told.run() }, ::heard) }
    }

    /** In the thread that works, thousands of times a second: nobody sees more than a few of them. */
    private fun heard(event: Event) {
        val now = SystemClock.elapsedRealtime()
        val isStep = event.kind == Event.Kind.STEP && event.step < event.steps
        if (isStep && now - toldAt < TELL_MILLISECONDS) return
        toldAt = now
        val figures = if (event.kind == Event.Kind.UPLOADED) figuresOf(fedrela.sent.lines()) else null
        change { before ->
            val isStopping = isStep && before.work is Work.Stopping
            val work = if (isStopping) before.work else workAfter(event, before.work)
            before.copy(work = work, figures = figures ?: before.figures, fault = null)
        }
    }

    private fun home(): Home {
        val status = fedrela.status()
        val choices = kept.choices.copy(isPaused = status.isPaused)
        val work = status.progress?.takeIf { status.isWorking }?.let { workAfter(it, Work.Idle) }
        return Home(work ?: workAfter(status.last, Work.Idle), figuresOf(fedrela.sent.lines()), choices = choices)
            .let(::withPictures)
    }

    private fun withPictures(home: Home): Home {
        val files = pictures.pictures().groupBy({ it.className }, { it.file.path })
        return home.with(kept.classes, files) { app.getString(R.string.class_number, it) }
    }

    /** The classes may be others than when it joined. */
    private fun refresh() {
        val classes = classesOf(fedrela.offers()) ?: return
        kept.classes = classes
        showPictures(null)
    }

    private fun showPictures(notice: Notice?) = change { withPictures(it).copy(notice = notice) }

    private fun showHow() {
        val (status, figures) = fedrela.status() to figuresOf(fedrela.sent.lines())
        change { before ->
            val work = if (before.choices.isPaused) Work.Paused else workAfter(status.last, before.work)
            before.copy(work = work, figures = figures, fault = faultOf(status.last))
        }
    }

    private fun show(next: Screen) = inMain { draw(next) }

    /** Change the home screen, if it is shown. */
    private fun change(how: (Home) -> Home) = inMain { (screen as? Home)?.let { draw(how(it)) } }

    private fun draw(next: Screen) {
        screen = next
        draws(next)
    }

    private fun inMain(does: () -> Unit) = main.execute(does)

    /** Run what blocks; what goes wrong is said on the screen that is there. */
    private fun behind(saying: (FedRelaError) -> Fault, does: () -> Unit) = background.execute {
        try {
            does()
        } catch (fault: FedRelaError) {
            inMain { failed(saying(fault)) }
        }
    }

    private fun failed(fault: Fault) {
        val next: Screen = when (val before = screen) {
            null -> Joining(fault = fault)
            is Joining -> before.copy(isAsking = false, fault = fault)
            is Consenting -> before.copy(isJoining = false, fault = fault)
            is Home -> before.copy(work = Work.Idle, isLeaving = false, fault = fault)
        }
        draw(next)
    }
}

package org.fedrela.sample

import android.app.Activity
import android.app.AlertDialog
import android.content.Intent
import android.net.Uri
import android.os.Bundle
import org.fedrela.sample.screens.Actions
import org.fedrela.sample.screens.Frame
import org.fedrela.sample.screens.Thumbnails
import org.fedrela.sample.state.PictureClass
import org.fedrela.sample.state.Screen
import java.util.concurrent.ExecutorService
import java.util.concurrent.Executors

private const val PICK = 1
private const val WORD = "word" // of the class that pictures are being picked for

/** Shows what the device shows, and hands on what its owner does. */
public class MainActivity : Activity() {
    private val device get() = (application as App).device
    private val reader: ExecutorService = Executors.newSingleThreadExecutor()
    private var draws: (Screen) -> Unit = {}
    private var word = ""

    override fun onCreate(state: Bundle?) {
        super.onCreate(state)
        word = state?.getString(WORD).orEmpty()
        val frame = Frame(this, Thumbnails(reader), actions())
        draws = frame::draw
        device.draws = draws
        device.screen?.let(draws)
        if (state == null) sharedLink(intent)
    }

    override fun onNewIntent(intent: Intent) {
        super.onNewIntent(intent)
        sharedLink(intent)
    }

    override fun onSaveInstanceState(state: Bundle) {
        super.onSaveInstanceState(state)
        state.putString(WORD, word)
    }

    override fun onActivityResult(request: Int, result: Int, data: Intent?) {
        if (request == PICK && result == RESULT_OK && data != null) device.addPictures(word, picked(data))
    }

    override fun onDestroy() {
        if (device.draws === draws) device.draws = {}
        reader.shutdown()
        super.onDestroy()
    }

    /** A link that another app has shared, such as one that reads QR codes. */
    private fun sharedLink(intent: Intent) {
        val text = intent.takeIf { it.action == Intent.ACTION_SEND }?.getStringExtra(Intent.EXTRA_TEXT) ?: return
        device.shared(text)
    }

    private fun actions() = Actions(
        look = device::look,
        agree = device::agree,
        refuse = device::refuse,
        trainNow = device::trainNow,
        choose = device::choose,
        addPictures = ::pick,
        removePicture = { device.removePicture(it) },
        sortAs = { unsorted, into -> device.sortAs(unsorted, into) },
        showSent = { startActivity(Intent(this, SentActivity::class.java)) },
        leave = ::askBeforeLeaving,
    )

    private fun pick(into: PictureClass) {
        word = into.word
        val pick = Intent(Intent.ACTION_GET_CONTENT).setType("image/*").addCategory(Intent.CATEGORY_OPENABLE)
        startActivityForResult(pick.putExtra(Intent.EXTRA_ALLOW_MULTIPLE, true), PICK)
    }

    private fun askBeforeLeaving() {
        AlertDialog.Builder(this).setTitle(R.string.leave_question).setMessage(R.string.leave_text)
            .setPositiveButton(R.string.leave_yes) { _, _ -> device.leave() }
            .setNegativeButton(R.string.leave_no, null)
            .show()
    }
}

private fun picked(data: Intent): List<Uri> {
    val several = data.clipData ?: return listOfNotNull(data.data)
    return (0 until several.itemCount).map { several.getItemAt(it).uri }
}

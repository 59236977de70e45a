package org.fedrela.sample.screens

import android.app.Activity
import android.text.format.DateUtils
import android.view.ViewGroup
import android.widget.TextView
import org.fedrela.sample.R
import org.fedrela.sample.state.SentRows
import org.fedrela.sample.words.bytes
import org.fedrela.sample.words.nameOf

private const val DAY_AND_TIME = DateUtils.FORMAT_SHOW_DATE or DateUtils.FORMAT_SHOW_YEAR or DateUtils.FORMAT_SHOW_TIME
private const val SHORT_TIME = DAY_AND_TIME or DateUtils.FORMAT_ABBREV_ALL

/** Everything that has left the phone, the newest first. */
internal fun drawSent(activity: Activity, sent: SentRows) {
    activity.setContentView(R.layout.frame)
    val content = activity.findViewById<ViewGroup>(R.id.content)!!
    activity.layoutInflater.inflate(R.layout.sent, content, true)
    val rows = content.findViewById<ViewGroup>(R.id.rows)!!
    for (row in sent.rows) {
        val time = DateUtils.formatDateTime(activity, row.at, SHORT_TIME)
        val what = activity.getString(R.string.sent_row, time, nameOf(activity, row.kind))
        addFigure(rows, what, bytes(activity, row.bytes))
    }
    if (sent.rows.isEmpty()) inflated<TextView>(rows, R.layout.paragraph).setText(R.string.sent_nothing)
    if (sent.older > 0) inflated<TextView>(rows, R.layout.paragraph).text =
        activity.resources.getQuantityString(R.plurals.sent_older, sent.older, sent.older)
}

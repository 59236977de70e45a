package org.fedrela.sample.screens

import android.app.Activity
import android.graphics.Bitmap
import android.graphics.Canvas
import android.graphics.Color
import android.graphics.Paint
import org.fedrela.client.consent.Obstacle
import org.fedrela.client.consent.Traffic
import org.fedrela.sample.state.Choices
import org.fedrela.sample.state.Consenting
import org.fedrela.sample.state.Fault
import org.fedrela.sample.state.Figures
import org.fedrela.sample.state.Hiding
import org.fedrela.sample.state.Home
import org.fedrela.sample.state.Joining
import org.fedrela.sample.state.Notice
import org.fedrela.sample.state.PictureClass
import org.fedrela.sample.state.Screen
import org.fedrela.sample.state.SentRow
import org.fedrela.sample.state.SentRows
import org.fedrela.sample.state.Terms
import org.fedrela.sample.state.Work
import java.io.File

// Screens as they may come, by a name for each.

private const val LINK = "https://train.example.org/join#dG9rZW4.81ebc23c5a9dd6134b15a789ef86efa0"

internal val TRAFFIC = Traffic(51_200, 9_400, 9_500, 21_300, 0, 190, 420, 42)

internal val PLAIN = Terms(
    "garden birds", 12, 3, listOf("blackbird", "robin", "wren"), "81ebc23c5a9dd6134b15a789ef86efa0",
    hiding = null, smallestCohort = 1, isWeighed = true, takesPictures = true, obstacle = null, traffic = TRAFFIC,
)
internal val SECURE = PLAIN.copy(hiding = Hiding(5, 2, isVouched = false), smallestCohort = 5)
internal val UNSIGNED = PLAIN.copy(obstacle = Obstacle.PUBLISHER, traffic = null)

/** A file of a small picture of its own, in the app's folder. */
internal fun picture(activity: Activity, number: Int): String {
    val bitmap = Bitmap.createBitmap(96, 72, Bitmap.Config.ARGB_8888)
    val (canvas, paint) = Canvas(bitmap) to Paint(Paint.ANTI_ALIAS_FLAG)
    canvas.drawColor(Color.HSVToColor(floatArrayOf(200f, 0.3f, 0.95f)))
    paint.color = Color.HSVToColor(floatArrayOf(40f * number, 0.6f, 0.6f))
    canvas.drawOval(20f, 22f, 66f, 60f, paint)
    canvas.drawCircle(66f, 26f, 12f, paint)
    paint.color = Color.DKGRAY
    canvas.drawCircle(69f, 23f, 2.5f, paint)
    val file = File(activity.filesDir, "picture-$number.png")
    file.outputStream().use { bitmap.compress(Bitmap.CompressFormat.PNG, 100, it) }
    return file.path
}

internal fun screens(activity: Activity): Map<String, Screen> {
    val birds = listOf(
        PictureClass("blackbird", "blackbird", List(12) { picture(activity, it) }),
        PictureClass("robin", "robin", List(3) { picture(activity, 20 + it) }),
        PictureClass("wren", "wren"),
    )
    val home = Home(Work.Training(9, 37, 75), Figures(8, 76_500), birds)
    return mapOf(
        "join" to Joining(),
        "join-expired" to Joining(LINK, fault = Fault(Fault.Kind.EXPIRED)),
        "left" to Joining(hasLeft = true),
        "consent-plain" to Consenting(LINK, listOf(PLAIN)),
        "consent-secure" to Consenting(LINK, listOf(SECURE)),
        "consent-unsigned" to Consenting(LINK, listOf(UNSIGNED)),
        "consent-no-task" to Consenting(LINK, emptyList()),
        "home" to home,
        "home-empty" to Home(classes = birds.map { it.copy(pictures = emptyList()) }),
        "home-grouping" to home.copy(work = Work.Grouping(9)),
        "home-paused" to home.copy(work = Work.Paused, choices = Choices(isPaused = true)),
        "home-away" to home.copy(work = Work.Idle, fault = Fault(Fault.Kind.AWAY), notice = Notice.Added(3, 1)),
        "home-unsorted" to home.copy(
            work = Work.Idle,
            unsorted = listOf(PictureClass("zebra", "zebra", List(4) { picture(activity, 40 + it) })),
        ),
    )
}

private const val A_MORNING = 1_796_000_000_000 // in 2026

internal val SENT = SentRows(
    listOf(
        SentRow(A_MORNING, SentRow.Kind.UPDATE, 9_500),
        SentRow(A_MORNING - 9_000, SentRow.Kind.GROUP, 1_280),
        SentRow(A_MORNING - 20_000, SentRow.Kind.DOWNLOAD, 0),
        SentRow(A_MORNING - 21_000, SentRow.Kind.CHECK_IN, 190),
        SentRow(A_MORNING - 60_000, SentRow.Kind.JOIN, 420),
        SentRow(A_MORNING - 90_000, SentRow.Kind.TASKS, 0),
    ),
    older = 3,
)

package org.fedrela.sample.state

import org.fedrela.client.consent.Obstacle
import org.fedrela.client.consent.Traffic

/** What the app shows. Every screen is drawn from its value alone. */
internal sealed interface Screen {
    val fault: Fault?
}

/** Before it has joined: a link is asked for. `isAsking`: the coordinator is being asked what the link is for. */
internal data class Joining(
    val link: String = "",
    val isAsking: Boolean = false,
    val hasLeft: Boolean = false,
    override val fault: Fault? = null,
) : Screen

/** What its owner would agree to. `isJoining`: they have. */
internal data class Consenting(
    val link: String,
    val terms: List<Terms>,
    val isJoining: Boolean = false,
    override val fault: Fault? = null,
) : Screen

/** After it has joined. `classes`: null before a task is known. */
internal data class Home(
    val work: Work = Work.Idle,
    val figures: Figures = Figures(),
    val classes: List<PictureClass>? = null,
    val unsorted: List<PictureClass> = emptyList(),
    val choices: Choices = Choices(),
    val isLeaving: Boolean = false,
    val notice: Notice? = null,
    override val fault: Fault? = null,
) : Screen {
    val pictures: Int get() = classes.orEmpty().sumOf { it.pictures.size }
}

/** What a task asks of its owner. `obstacle`: why this app can't take part in it. */
internal data class Terms(
    val name: String,
    val rounds: Int,
    val classes: Int,
    val classNames: List<String>,
    val publisher: String,
    val hiding: Hiding?,
    val smallestCohort: Int,
    val isWeighed: Boolean,
    val takesPictures: Boolean,
    val obstacle: Obstacle?,
    val traffic: Traffic?,
)

/** How a change is hidden: among how many devices, how many of them could undo it; whether a fleet's key vouches. */
internal data class Hiding(val devices: Int, val helpers: Int, val isVouched: Boolean)

/** Rounds taken part in, and bytes that have left the phone. */
internal data class Figures(val rounds: Int = 0, val sentBytes: Long = 0)

/** The pictures of a class. `word`: the name of its folder, which means the same in every task. */
internal data class PictureClass(val name: String, val word: String, val pictures: List<String> = emptyList())

/** When its owner lets the phone train, and whether they have paused it. */
internal data class Choices(
    val charging: Boolean = true,
    val unmetered: Boolean = true,
    val idle: Boolean = true,
    val onlyHidden: Boolean = false,
    val isPaused: Boolean = false,
)

/** What its owner has just done. */
internal sealed interface Notice {
    data class Added(val pictures: Int, val refused: Int) : Notice
}

package org.fedrela.sample.words

import android.content.Context
import android.text.format.Formatter
import org.fedrela.client.consent.Obstacle
import org.fedrela.client.consent.Traffic
import org.fedrela.sample.R
import org.fedrela.sample.state.Hiding
import org.fedrela.sample.state.Terms

private const val NO_BREAK = '\u00a0'
private const val USUAL_COHORT = 5 // devices that a round mixes where its task says nothing else

/** A part of a text. */
internal sealed interface Block {
    data class Heading(val text: String) : Block
    data class Paragraph(val text: String) : Block
    data class Bullet(val text: String) : Block
}

/** What an owner is told before they join: true to each task's mode, with sizes. */
internal fun consent(context: Context, terms: List<Terms>): List<Block> {
    val about = Block.Paragraph(context.getString(R.string.consent_text))
    val tasks = if (terms.isEmpty()) listOf(Block.Paragraph(context.getString(R.string.consent_no_task)))
    else terms.flatMap { task(context, it) }
    return listOf(about) + tasks + never(context, terms)
}

private fun task(context: Context, terms: Terms): List<Block> {
    val heading = Block.Heading(context.getString(R.string.consent_task, terms.name))
    val obstacle = obstacle(context, terms)
    if (obstacle != null) return listOf(heading, Block.Paragraph(obstacle))
    return listOf(heading) + about(context, terms) + comes(context, checkNotNull(terms.traffic)) +
        Block.Heading(context.getString(R.string.consent_sees)) +
        Block.Paragraph(visible(context, terms.hiding)) +
        Block.Heading(context.getString(R.string.consent_leaves)) +
        leaves(context, terms, terms.traffic).map { Block.Bullet(it) }
}

private fun obstacle(context: Context, terms: Terms): String? = when (terms.obstacle) {
    Obstacle.PUBLISHER -> context.getString(R.string.obstacle_publisher)
    Obstacle.FEATURE -> context.getString(R.string.obstacle_feature)
    Obstacle.RUNTIME -> context.getString(R.string.obstacle_runtime)
    null -> if (terms.takesPictures) null else context.getString(R.string.obstacle_pictures)
}

private fun about(context: Context, terms: Terms): List<Block> {
    val words = context.resources
    val rounds = words.getQuantityString(R.plurals.consent_rounds, terms.rounds, terms.rounds)
    val classes = terms.classNames.joinToString().ifEmpty {
        words.getQuantityString(R.plurals.consent_classes, terms.classes, terms.classes)
    }
    val cohort = terms.smallestCohort
    val few = words.getQuantityString(R.plurals.consent_few, cohort, cohort).takeIf { cohort < USUAL_COHORT }
    val lines = listOfNotNull(
        "$rounds ${context.getString(R.string.consent_tells_apart, classes)}",
        context.getString(R.string.consent_publisher, grouped(terms.publisher)),
        few,
    )
    return lines.map { Block.Paragraph(it) }
}

/** A fingerprint in groups of four, as people compare them. */
internal fun grouped(fingerprint: String): String = fingerprint.chunked(4).joinToString(" ")

private fun comes(context: Context, traffic: Traffic): List<Block> = listOf(
    Block.Heading(context.getString(R.string.consent_comes)),
    Block.Bullet(context.getString(R.string.consent_program, bytes(context, traffic.program))),
    Block.Bullet(context.getString(R.string.consent_checkpoint, bytes(context, traffic.checkpoint))),
)

/** What a task's mode lets the operator's server know of one device's change. */
private fun visible(context: Context, hiding: Hiding?): String {
    if (hiding == null) return context.getString(R.string.consent_plain)
    val words = context.resources
    return listOfNotNull(
        words.getQuantityString(R.plurals.consent_hidden, hiding.devices, hiding.devices),
        words.getQuantityString(R.plurals.consent_sum, hiding.helpers, hiding.helpers),
        context.getString(R.string.consent_no_fleet).takeIf { !hiding.isVouched },
    ).joinToString(" ")
}

private fun leaves(context: Context, terms: Terms, traffic: Traffic): List<String> {
    val change = bytes(context, traffic.update.toLong())
    val own = if (terms.hiding == null) listOf(
        context.getString(R.string.consent_change, change),
        context.getString(R.string.consent_count),
    ) else listOfNotNull(
        context.getString(R.string.consent_hidden_change, change),
        context.getString(R.string.consent_hidden_count).takeIf { terms.isWeighed },
        context.getString(R.string.consent_group, bytes(context, traffic.group.toLong())),
    )
    return own + listOf(
        context.getString(R.string.consent_check_in, bytes(context, traffic.checkIn.toLong())),
        context.getString(R.string.consent_enrollment, bytes(context, traffic.enrollment.toLong())),
        context.getString(R.string.consent_failure, bytes(context, traffic.failure.toLong())),
        context.getString(R.string.consent_address),
    )
}

private fun never(context: Context, terms: List<Terms>): List<Block> {
    val areAllHidden = terms.isNotEmpty() && terms.all { it.hiding != null }
    val classes = if (areAllHidden) R.string.never_classes_hidden else R.string.never_classes_plain
    val all = listOf(R.string.never_examples, classes, R.string.never_names, R.string.never_secret)
    return listOf(Block.Heading(context.getString(R.string.consent_never))) +
        all.map { Block.Bullet(context.getString(it)) }
}

/** A size as the phone's owner reads it: number and unit in one line. */
internal fun bytes(context: Context, count: Long): String =
    Formatter.formatShortFileSize(context, count).replace(' ', NO_BREAK)

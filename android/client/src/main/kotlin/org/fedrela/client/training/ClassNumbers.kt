package org.fedrela.client.training

import org.fedrela.core.InvalidData
import java.text.Normalizer

private val WHOLE = Regex("([0-9]{1,18})(\\.0*)?")

/**
 * The one place where a label becomes a number, and nothing is guessed: a label counts where it is one of the model's
 * declared names, or an exact whole number 0..C-1. Where the names are numbers themselves ("3", "5", "7"), a number is
 * a name and never a place in their order. What means two classes means none.
 */
public class ClassNumbers(names: List<String>, private val classes: Int) {
    private val byName = unambiguous(names.map(::plain))
    private val numbers = names.map(::whole)
    private val byNumber = if (numbers.any { it != null }) unambiguous(numbers) else null

    /** The class of a label as it is written. Throws [InvalidData]. */
    public fun of(label: String): Int = byName[plain(label)] ?: ofWhole(whole(label)) ?: throw stranger(label)

    /** The class of a label that was read as a number. Throws [InvalidData]. */
    public fun of(label: Double): Int {
        val isWhole = label >= 0 && label == Math.floor(label) && label < Long.MAX_VALUE
        return ofWhole(if (isWhole) label.toLong() else null) ?: throw stranger(label.toString())
    }

    private fun ofWhole(number: Long?): Int? = when {
        number == null -> null
        byNumber != null -> byNumber[number]
        else -> number.takeIf { it < classes }?.toInt()
    }

    private fun stranger(label: String) =
        InvalidData("the model has no class '${label.take(60)}'", "name it as the model does, or take it away")
}

private fun <T : Any> unambiguous(keys: List<T?>): Map<T, Int> {
    val places = keys.indices.groupBy { keys[it] }
    return places.entries.mapNotNull { (key, at) -> key?.takeIf { at.size == 1 }?.let { it to at.single() } }.toMap()
}

/** The whole number from 0 on that a label is exactly. */
private fun whole(label: String): Long? = WHOLE.matchEntire(label)?.groupValues?.get(1)?.toLong()

/** One spelling for a name: file systems write its accents in two ways. */
private fun plain(name: String): String = Normalizer.normalize(name, Normalizer.Form.NFC)

package org.fedrela.sample.state

import org.fedrela.client.consent.Offer
import org.fedrela.client.training.ClassNumbers
import org.fedrela.core.InvalidData
import org.fedrela.core.program.DataKind

/** The classes of the task that this app takes part in. `names`: empty where the model declares none. */
internal data class Classes(val count: Int, val names: List<String>)

/** Those of the first task that this app can take part in; null where there is none. */
internal fun classesOf(offers: List<Offer>): Classes? = offers
    .find { it.obstacle == null && it.manifest.preprocessing.kind == DataKind.IMAGE }
    ?.let { Classes(it.manifest.classes, it.manifest.classNames) }

/**
 * The home screen with pictures as the classes of a task, and those that are none of them by what was said of them.
 * `files`: paths by the name of the class that they were put into. `numbered`: how a class without a name is shown.
 */
internal fun Home.with(classes: Classes?, files: Map<String, List<String>>, numbered: (Int) -> String): Home {
    if (classes == null) return this
    val numbers = ClassNumbers(classes.names, classes.count)
    val byClass = files.entries.groupBy { (word, _) -> classOf(numbers, word) }
    val known = (0 until classes.count).map { number ->
        val word = classes.names.getOrElse(number) { number.toString() }
        val name = classes.names.getOrElse(number) { numbered(number) }
        PictureClass(name, word, byClass[number].orEmpty().flatMap { it.value })
    }
    return copy(
        classes = known,
        unsorted = byClass[null].orEmpty().map { (word, paths) -> PictureClass(word, word, paths) },
    )
}

private fun classOf(numbers: ClassNumbers, word: String): Int? = try {
    numbers.of(word)
} catch (_: InvalidData) {
    null
}

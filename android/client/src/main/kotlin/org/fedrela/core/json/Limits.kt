package org.fedrela.core.json

import org.fedrela.core.InvalidInput

// What a field of a message, a task or a manifest may hold, written where the field is declared. The limits belong to
// the protocol: every client refuses exactly what lies outside of them.

private const val LARGEST_WHOLE = (1L shl 53) - 1

/** A value that a reader takes and that holds besides. */
internal fun <T> limited(read: Read<T>, remedy: String, holds: (T) -> Boolean): Read<T> = { value, path ->
    val checked = read(value, path)
    if (!holds(checked)) throw InvalidInput("${path.ifEmpty { "the document" }} is out of bounds", remedy)
    checked
}

internal fun wholeFrom(least: Long, most: Long): Read<Long> =
    limited(whole, "use a whole number from $least to $most") { it in least..most }

/** The same of a number that fits into an Int. */
internal fun intFrom(least: Int, most: Int): Read<Int> {
    val read = wholeFrom(least.toLong(), most.toLong())
    return { value, path -> read(value, path).toInt() }
}

internal fun realFrom(least: Double, most: Double): Read<Double> =
    limited(real, "use a number from $least to $most") { it in least..most }

internal fun realAbove(least: Double, most: Double): Read<Double> =
    limited(real, "use a number above $least, to $most") { it > least && it <= most }

internal fun realBelow(least: Double, most: Double): Read<Double> =
    limited(real, "use a number from $least to below $most") { it >= least && it < most }

/** A text that matches an expression as a whole. */
internal fun matching(pattern: String, what: String): Read<String> {
    val expression = Regex(pattern)
    return limited(text, "use $what") { expression.matches(it) }
}

/** A text of so many Unicode characters. */
internal fun characters(least: Int, most: Int, read: Read<String> = text): Read<String> =
    limited(read, "use $least to $most characters") { it.codePointCount(0, it.length) in least..most }

internal fun <T> listOf(item: Read<T>, least: Int, most: Int): Read<List<T>> =
    limited(list(item), "let it be $least to $most long") { it.size in least..most }

internal fun <T> tableOf(item: Read<T>, most: Int, key: Read<String> = text): Read<Map<String, T>> =
    limited(table(item, key), "let it be at most $most long") { it.size <= most }

private const val VERSION_PATTERN =
    "[0-9]{1,9}(\\.[0-9]{1,9}){0,5}" +
        "([+-][A-Za-z0-9.+-]{1,40}|\\.[A-Za-z][A-Za-z0-9.+-]{0,40}|[A-Za-z][A-Za-z0-9.+-]{0,40})?"

internal val natural: Read<Long> = wholeFrom(0, LARGEST_WHOLE)
internal val positive: Read<Long> = wholeFrom(1, LARGEST_WHOLE)
internal val sha256: Read<String> = matching("[0-9a-f]{64}", "64 lower-case hexadecimal digits")
internal val publicKey: Read<String> = matching("[0-9a-f]{64}", "an Ed25519 key of 64 lower-case hexadecimal digits")
internal val signature: Read<String> = matching("[0-9a-f]{128}", "a signature of 128 lower-case hexadecimal digits")
internal val token: Read<String> = matching("[!-~]{1,512}", "1 to 512 printable characters without spaces")
internal val id: Read<String> = matching("[A-Za-z0-9_-]{1,128}", "1 to 128 letters, digits, '-' and '_'")
internal val plainName: Read<String> =
    characters(1, 100, matching("[._-]*[A-Za-z0-9][A-Za-z0-9._-]*", "letters, digits, '-', '_' and '.'"))
internal val version: Read<String> = matching(VERSION_PATTERN, "dotted numbers such as 1.2.3")
internal val versionOrNone: Read<String> = matching("|$VERSION_PATTERN", "dotted numbers such as 1.2.3, or nothing")
internal val features: Read<List<String>> =
    listOf(matching("[a-z0-9-]{1,64}", "a word of small letters and digits"), 0, 64)

/** Every message may say which version of the protocol it speaks. */
internal fun Fields.checkProtocol() {
    optional("protocol", wholeFrom(1, 1), 1L)
}

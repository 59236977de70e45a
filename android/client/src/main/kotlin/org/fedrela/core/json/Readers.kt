package org.fedrela.core.json

import org.fedrela.core.InvalidInput

/** Turns a JSON value into a typed one; `path` names it in errors. Throws [InvalidInput]. */
internal typealias Read<T> = (value: Json, path: String) -> T

internal val text: Read<String> = { value, path -> (value as? Json.Text)?.value ?: wrong(path, "a text") }

internal val bool: Read<Boolean> = { value, path -> (value as? Json.Bool)?.value ?: wrong(path, "true or false") }

internal val whole: Read<Long> = { value, path -> (value as? Json.Whole)?.value ?: wrong(path, "a whole number") }

/** A number; a whole one will do. */
internal val real: Read<Double> = { value, path ->
    when (value) {
        is Json.Whole -> value.value.toDouble()
        is Json.Real -> value.value
        else -> wrong(path, "a number")
    }
}

/** One of some words, and what it stands for. */
internal fun <T> choice(options: Map<String, T>): Read<T> = { value, path ->
    options[text(value, path)] ?: wrong(path, "one of ${options.keys.joinToString()}")
}

internal fun choice(vararg words: String): Read<String> = choice(words.associateWith { it })

internal fun <T> list(item: Read<T>): Read<List<T>> = { value, path ->
    (value as? Json.Items)?.values?.mapIndexed { index, each -> item(each, "$path[$index]") } ?: wrong(path, "a list")
}

internal fun <T> table(item: Read<T>, key: Read<String> = text): Read<Map<String, T>> = { value, path ->
    (value as? Json.Members)?.values?.entries?.associate { (name, each) ->
        key(Json.Text(name), path) to item(each, "$path.$name")
    } ?: wrong(path, "a table of named values")
}

/** A value whose members are read by name; those that nobody asks for are ignored. */
internal fun <T> members(read: (Fields) -> T): Read<T> = { value, path ->
    read(Fields((value as? Json.Members)?.values ?: wrong(path, "a table of named values"), path))
}

/** Parse a body with a reader. Throws [InvalidInput]. */
internal fun <T> Read<T>.parse(body: ByteArray): T = this(parseJson(body), "")

/** The members of an object. */
internal class Fields(private val values: Map<String, Json>, private val path: String) {
    operator fun contains(name: String): Boolean = name in values

    /** A member that must be there. */
    fun <T> required(name: String, read: Read<T>): T =
        read(values[name] ?: throw InvalidInput("key '${join(name)}' is missing", "add it"), join(name))

    /** A member with a default. */
    fun <T> optional(name: String, read: Read<T>, default: T): T = values[name]?.let { read(it, join(name)) } ?: default

    /** A member that may be null, which is as good as absent. */
    fun <T : Any> nullable(name: String, read: Read<T>): T? =
        values[name]?.takeUnless { it is Json.Null }?.let { read(it, join(name)) }

    /** A member whose own members all have defaults. */
    fun <T> section(name: String, read: Read<T>): T = read(values[name] ?: json(), join(name))

    private fun join(name: String): String = if (path.isEmpty()) name else "$path.$name"
}

private fun wrong(path: String, expected: String): Nothing =
    throw InvalidInput("${path.ifEmpty { "the document" }} is of another kind", "make it $expected")

/** Throws [InvalidInput] unless `condition` holds. */
internal fun requireInput(condition: Boolean, problem: String, remedy: String) {
    if (!condition) throw InvalidInput(problem, remedy)
}

package org.fedrela.core.json

/** The UTF-8 bytes of a value: no spaces, members in the order in which they were put. */
public fun writeJson(value: Json): ByteArray =
    StringBuilder().also { write(value, it) }.toString().toByteArray(Charsets.UTF_8)

private fun write(value: Json, out: StringBuilder) {
    when (value) {
        is Json.Null -> out.append("null")
        is Json.Bool -> out.append(value.value)
        is Json.Whole -> out.append(value.value)
        is Json.Real -> out.append(value.value)
        is Json.Text -> quote(value.value, out)
        is Json.Items -> joined(value.values, '[', ']', out) { write(it, out) }
        is Json.Members -> joined(value.values.entries, '{', '}', out) { (name, member) ->
            quote(name, out)
            out.append(':')
            write(member, out)
        }
    }
}

private fun <T> joined(items: Collection<T>, open: Char, close: Char, out: StringBuilder, write: (T) -> Unit) {
    out.append(open)
    items.forEachIndexed { index, item ->
        if (index > 0) out.append(',')
        write(item)
    }
    out.append(close)
}

private fun quote(text: String, out: StringBuilder) {
    out.append('"')
    for (character in text) {
        when {
            character == '"' || character == '\\' -> out.append('\\').append(character)
            character < ' ' || character > '~' -> out.append("\\u").append(character.code.toString(16).padStart(4, '0'))
            else -> out.append(character)
        }
    }
    out.append('"')
}

package org.fedrela.core.json

import org.fedrela.core.InvalidInput
import java.nio.ByteBuffer
import java.nio.charset.CharacterCodingException
import java.nio.charset.CodingErrorAction

/** No body of JSON is longer. */
public const val MOST_JSON_BYTES: Int = 4_000_000
private const val MOST_MARKS = 150_000 // of "[", "{" and ",", those in texts too: no fewer than there are values
private const val MOST_DEPTH = 64
private const val MOST_NUMBER_CHARACTERS = 64
private const val SAFE_WHOLE = (1L shl 53) - 1
private val NUMBER = Regex("-?(?:0|[1-9][0-9]*)(\\.[0-9]+)?([eE][+-]?[0-9]+)?")

/**
 * JSON as every client of the protocol reads it: RFC 8259, and what two readers could take differently is refused.
 * UTF-8 without a byte-order mark; no key twice, no half of a surrogate pair, nothing after the value; at most 64
 * levels; whole numbers within 2^53. That holds for members that nobody looks at, too.
 *
 * `unsigned`: of a document without negative numbers, -0 among them. Throws [InvalidInput].
 */
public fun parseJson(body: ByteArray, unsigned: Boolean = false): Json {
    if (body.size > MOST_JSON_BYTES) throw InvalidInput("the JSON is too long", "send at most $MOST_JSON_BYTES bytes")
    val marks = body.count { it == ','.code.toByte() || it == '['.code.toByte() || it == '{'.code.toByte() }
    if (marks > MOST_MARKS) throw InvalidInput("the JSON holds too many values", "send at most $MOST_MARKS")
    return JsonParser(decodeUtf8(body), unsigned).document()
}

/** The text of well-formed UTF-8 bytes; a byte-order mark stays. Throws [InvalidInput]. */
public fun decodeUtf8(body: ByteArray): String {
    val decoder = Charsets.UTF_8.newDecoder()
    decoder.onMalformedInput(CodingErrorAction.REPORT).onUnmappableCharacter(CodingErrorAction.REPORT)
    try {
        return decoder.decode(ByteBuffer.wrap(body)).toString()
    } catch (fault: CharacterCodingException) {
        throw InvalidInput("the body is not UTF-8", "send one UTF-8 JSON object", fault)
    }
}

private class JsonParser(private val text: String, private val unsigned: Boolean) {
    private var at = 0

    fun document(): Json {
        val value = value(0)
        if (at != text.length) throw fault("something follows the value")
        return value
    }

    /** A value that lies in `depth` arrays and objects. */
    private fun value(depth: Int): Json {
        skipSpace()
        val value = when (text.getOrNull(at)) {
            '{' -> members(depth)
            '[' -> list(depth)
            '"' -> Json.Text(string())
            't' -> word("true", Json.Bool(true))
            'f' -> word("false", Json.Bool(false))
            'n' -> word("null", Json.Null)
            else -> number()
        }
        skipSpace()
        return value
    }

    private fun members(depth: Int): Json {
        val values = LinkedHashMap<String, Json>()
        items(depth, '{', '}') {
            skipSpace()
            val key = string()
            if (key in values) throw InvalidInput("a JSON object holds the same key twice", "send each key once")
            skipSpace()
            expect(':')
            values[key] = value(depth + 1)
        }
        return Json.Members(values)
    }

    private fun list(depth: Int): Json {
        val values = ArrayList<Json>()
        items(depth, '[', ']') { values.add(value(depth + 1)) }
        return Json.Items(values)
    }

    private fun items(depth: Int, open: Char, close: Char, item: () -> Unit) {
        if (depth >= MOST_DEPTH) throw fault("it is too deep")
        expect(open)
        skipSpace()
        if (text.getOrNull(at) != close) {
            item()
            while (text.getOrNull(at) != close) {
                expect(',')
                item()
            }
        }
        expect(close)
    }

    private fun string(): String {
        expect('"')
        val characters = StringBuilder()
        while (text.getOrNull(at) != '"') characters.append(character())
        expect('"')
        if (hasHalfCharacter(characters)) throw fault("half a character")
        return characters.toString()
    }

    private fun character(): Char {
        val next = text.getOrNull(at) ?: throw fault("a text is malformed")
        at += 1
        if (next < ' ') throw fault("a text is malformed")
        return if (next == '\\') escaped() else next
    }

    private fun escaped(): Char {
        val letter = text.getOrNull(at) ?: throw fault("a text is malformed")
        at += 1
        return when (letter) {
            '"', '\\', '/' -> letter
            'b' -> '\b'
            'f' -> '\u000c'
            'n' -> '\n'
            'r' -> '\r'
            't' -> '\t'
            'u' -> hexadecimal()
            else -> throw fault("a text is malformed")
        }
    }

    private fun hexadecimal(): Char {
        if (at + 4 > text.length) throw fault("a text is malformed")
        val digits = text.substring(at, at + 4)
        if (!digits.all { it in '0'..'9' || it in 'a'..'f' || it in 'A'..'F' }) throw fault("a text is malformed")
        at += 4
        return digits.toInt(16).toChar()
    }

    private fun number(): Json {
        var end = at
        while (end < text.length && (text[end] in '0'..'9' || text[end] in "+-.eE")) end += 1
        val match = NUMBER.find(text.substring(at, minOf(end, at + MOST_NUMBER_CHARACTERS + 1)))
        if (match == null || match.range.first != 0) throw fault("a value is malformed")
        val written = match.value
        if (unsigned && written.startsWith("-")) throw fault("a number is negative")
        if (written.length > MOST_NUMBER_CHARACTERS) throw fault("a number is too long")
        at += written.length
        val isWhole = match.groupValues[1].isEmpty() && match.groupValues[2].isEmpty()
        return if (isWhole) Json.Whole(safe(written)) else Json.Real(finite(written))
    }

    private fun safe(written: String): Long =
        written.toLongOrNull()?.takeIf { it in -SAFE_WHOLE..SAFE_WHOLE } ?: throw tooLarge()

    private fun finite(written: String): Double =
        written.toDouble().takeUnless { it.isInfinite() } ?: throw tooLarge()

    private fun word(written: String, value: Json): Json {
        if (!text.startsWith(written, at)) throw fault("a value is malformed")
        at += written.length
        return value
    }

    private fun expect(character: Char) {
        if (text.getOrNull(at) != character) throw fault("$character is missing")
        at += 1
    }

    private fun skipSpace() {
        while (at < text.length && text[at] in " \t\n\r") at += 1
    }

    private fun fault(what: String) = InvalidInput("the body is not JSON ($what at $at)", "send one UTF-8 JSON object")

    private fun tooLarge() =
        InvalidInput("the JSON holds a number that is too large", "send whole numbers within 2^53, and finite ones")
}

private fun hasHalfCharacter(text: CharSequence): Boolean {
    var at = 0
    while (at < text.length) {
        val character = text[at]
        if (Character.isLowSurrogate(character)) return true
        if (Character.isHighSurrogate(character)) {
            if (at + 1 >= text.length || !Character.isLowSurrogate(text[at + 1])) return true
            at += 1
        }
        at += 1
    }
    return false
}

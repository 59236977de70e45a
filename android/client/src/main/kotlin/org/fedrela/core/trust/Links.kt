package org.fedrela.core.trust

import org.fedrela.core.InvalidInput
import java.net.URI
import java.net.URISyntaxException

/** An enrollment link, and what a device trusts because of it. */
public class Link(
    public val url: String, // of the coordinator, without a slash at its end
    public val token: String,
    public val coordinator: String, // the fingerprint of the key that signs assignments
    public val publishers: List<String>, // those of keys that may sign programs
    public val fleet: String = "", // what it says of a fleet; empty where it names none
)

private const val JOIN = "/join"
private const val FLEET = "fleet-[0-9a-f]{64}-[0-9a-f]{64}-[0-9a-f]{128}-[A-Za-z0-9._-]{1,100}"
private val FRAGMENT = Regex("([!-\\-/-~]{1,512}(?:\\.[0-9a-f]{32}){1,17})(?:\\.($FLEET))?")
private val OWN_HOSTS = setOf("localhost", "127.0.0.1", "[::1]")

/** Throws [InvalidInput] for what is no link, names no coordinator's key, or is plain http to another machine. */
public fun parseLink(link: String): Link {
    val address = link.substringBefore('#')
    val fragment = link.substringAfter('#', "")
    val uri = try {
        URI(address)
    } catch (fault: URISyntaxException) {
        throw InvalidInput("this is no link", REMEDY, fault)
    }
    val isHttp = uri.scheme == "http" || uri.scheme == "https"
    val isPlain = uri.host != null && uri.rawUserInfo == null && uri.rawQuery == null && uri.port != 0
    val fitting = FRAGMENT.matchEntire(fragment)
    if (!isHttp || !isPlain || !address.endsWith(JOIN) || fitting == null)
        throw InvalidInput("this is not a whole link, or an old one", REMEDY)
    if (uri.scheme == "http" && uri.host !in OWN_HOSTS)
        throw InvalidInput("the link is plain http: whoever is on the way reads everything", "ask for an https link")
    val (pinned, fleet) = fitting.destructured
    val parts = pinned.split('.')
    return Link(address.removeSuffix(JOIN), parts[0], parts[1], parts.drop(2), fleet)
}

private const val REMEDY = "ask the person who sent it for a new one, and open the whole of it"

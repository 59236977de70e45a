package org.fedrela.client.storage

import org.fedrela.core.json.Fields
import org.fedrela.core.json.json
import org.fedrela.core.json.list
import org.fedrela.core.json.members
import org.fedrela.core.json.parse
import org.fedrela.core.json.text
import org.fedrela.core.json.writeJson

internal const val IDENTITY = "identity.json"

/** What enrollment gave this device. `secret` (32 bytes, hexadecimal) drives its random draws and stays here. */
public data class Identity(
    public val url: String,
    public val privateKey: String,
    public val secret: String,
    public val publishers: List<String>, // fingerprints of keys that may sign programs
    public val deviceId: String = "", // empty until the coordinator has answered
    internal val deviceToken: String = "",
    public val coordinatorPublicKey: String = "",
    public val population: String = "",
    public val fleet: String = "", // the fingerprint of the fleet's key, if the link had one
) {
    public val isEnrolled: Boolean get() = deviceId.isNotEmpty()

    override fun toString(): String = "Identity($deviceId at $url)" // without what is secret
}

/** Who this device is; null before it has begun to enroll. Throws InvalidInput for a damaged file. */
internal fun loadIdentity(folder: StateFolder): Identity? =
    folder.get(IDENTITY)?.let { members { identity(it) }.parse(it) }

/** Who the device of a folder is; null before it has enrolled. Throws InvalidInput for a damaged file. */
public fun enrolledIdentity(folder: StateFolder): Identity? = loadIdentity(folder)?.takeIf { it.isEnrolled }

internal fun saveIdentity(folder: StateFolder, identity: Identity) {
    val members = json(
        "url" to json(identity.url),
        "private_key" to json(identity.privateKey),
        "secret" to json(identity.secret),
        "publishers" to json(identity.publishers.map { json(it) }),
        "device_id" to json(identity.deviceId),
        "device_token" to json(identity.deviceToken),
        "coordinator_public_key" to json(identity.coordinatorPublicKey),
        "population" to json(identity.population),
        "fleet" to json(identity.fleet),
    )
    folder.put(IDENTITY, writeJson(members))
}

private fun identity(fields: Fields) = Identity(
    url = fields.required("url", text),
    privateKey = fields.required("private_key", text),
    secret = fields.required("secret", text),
    publishers = fields.required("publishers", list(text)),
    deviceId = fields.required("device_id", text),
    deviceToken = fields.required("device_token", text),
    coordinatorPublicKey = fields.required("coordinator_public_key", text),
    population = fields.required("population", text),
    fleet = fields.required("fleet", text),
)

package org.fedrela.core.trust

import org.fedrela.core.IntegrityError
import org.fedrela.core.wire.KeyRotation

/**
 * The key that a chain of keys, each signed by the one before, leads to from the one of the fingerprint `pinned` on.
 * Throws [IntegrityError] where it leads nowhere.
 */
internal fun newestKey(rotations: List<KeyRotation>, pinned: String): String {
    val later = rotations.dropWhile { fingerprint(it.formerKey) != pinned }
    var key = later.firstOrNull()?.formerKey ?: throw broken()
    for (rotation in later) {
        if (rotation.formerKey != key) throw broken()
        verify(key, keyRotationStatement(key, rotation.publicKey), rotation.signature)
        key = rotation.publicKey
    }
    return key
}

private fun broken() = IntegrityError(
    "the coordinator's signature is by another key than the pinned one, which names no successor",
    "somebody may be on the way between you; ask the operator",
)

package org.fedrela.core.trust

import org.fedrela.core.IntegrityError
import org.fedrela.core.wire.Seal

private const val REMEDY =
    "nothing was loaded; ask the operator, and join again by a link that names the publisher you trust"

/** Throws [IntegrityError] unless one of `publishers`, by fingerprint, has sealed that manifest. */
internal fun checkSeal(seal: Seal?, manifestSha256: String, publishers: List<String>) {
    if (seal == null) throw IntegrityError("no publisher has signed the program", REMEDY)
    if (seal.manifestSha256 != manifestSha256)
        throw IntegrityError("the publisher's signature is over another program", REMEDY)
    val publisher = fingerprint(seal.publicKey)
    if (publisher !in publishers)
        throw IntegrityError("the program's publisher $publisher is not among those of this device's link", REMEDY)
    verify(seal.publicKey, sealStatement(seal), seal.signature)
}

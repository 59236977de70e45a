package org.fedrela.sample.state

import org.fedrela.client.consent.Offer
import org.fedrela.client.consent.helpersNeeded
import org.fedrela.client.consent.trafficOf
import org.fedrela.core.program.DataKind
import org.fedrela.core.trust.parseLink

/**
 * What the offers of a link ask for. `runtime`: this app's, such as "onnx 1.28.0". Throws
 * [org.fedrela.core.InvalidInput] for what is no link.
 */
internal fun termsOf(offers: List<Offer>, link: String, runtime: String): List<Terms> {
    val isVouched = parseLink(link).fleet.isNotEmpty()
    return offers.map { terms(it, isVouched, runtime) }
}

private fun terms(offer: Offer, isVouched: Boolean, runtime: String): Terms {
    val privacy = offer.task.privacy
    val least = privacy.groupMinimum
    return Terms(
        name = offer.name,
        rounds = offer.task.rounds,
        classes = offer.manifest.classes,
        classNames = offer.manifest.classNames,
        publisher = offer.publisher,
        hiding = if (privacy.isSecure) Hiding(least, helpersNeeded(least), isVouched) else null,
        smallestCohort = offer.task.round.smallestCohort,
        isWeighed = offer.task.aggregation.weighByExamples,
        takesPictures = offer.manifest.preprocessing.kind == DataKind.IMAGE,
        obstacle = offer.obstacle,
        traffic = if (offer.obstacle == null) trafficOf(offer, runtime) else null,
    )
}

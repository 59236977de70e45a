package org.fedrela.sample.state

import org.fedrela.android.LastAttempt
import org.fedrela.core.FedRelaError
import org.fedrela.core.IntegrityError
import org.fedrela.core.InvalidData
import org.fedrela.core.InvalidInput
import org.fedrela.core.NotEligible
import org.fedrela.core.Refused
import org.fedrela.core.Unavailable

private const val UNAUTHORIZED = 401

/** What went wrong, as far as a sentence about it differs. `problem`: the client's own words, for what is left. */
internal data class Fault(val kind: Kind, val problem: String = "") {
    enum class Kind {
        NOT_A_LINK, EXPIRED, REMOVED, STRANGER, DAMAGED, ARITHMETIC, AWAY, NOT_ELIGIBLE, TOO_LATE, GROUP_CLOSED, NORM,
        MODEL, OTHER,
    }
}

/** A fault of joining: what arrived was the link's, or its coordinator's. */
internal fun joiningFault(fault: FedRelaError): Fault = when (fault) {
    is InvalidInput -> Fault(Fault.Kind.NOT_A_LINK)
    is IntegrityError -> Fault(Fault.Kind.STRANGER)
    is Refused ->
        if (fault.code == "bad-enrollment-token") Fault(Fault.Kind.EXPIRED) else Fault(Fault.Kind.OTHER, fault.problem)
    else -> workingFault(fault)
}

/** A fault of training, sending or leaving. */
internal fun workingFault(fault: FedRelaError): Fault = when (fault) {
    is Unavailable -> Fault(Fault.Kind.AWAY)
    is IntegrityError -> Fault(Fault.Kind.DAMAGED)
    is InvalidData, is NotEligible -> Fault(Fault.Kind.NOT_ELIGIBLE)
    is Refused -> Fault(if (fault.status == UNAUTHORIZED) Fault.Kind.REMOVED else Fault.Kind.OTHER, fault.problem)
    else -> Fault(Fault.Kind.OTHER, fault.problem)
}

/** What went wrong in the newest attempt; null where nothing did. */
internal fun faultOf(last: LastAttempt?): Fault? = when (last?.end) {
    null, LastAttempt.End.UPLOADED, LastAttempt.End.WAITING, LastAttempt.End.STOPPED -> null
    LastAttempt.End.AWAY -> Fault(Fault.Kind.AWAY)
    LastAttempt.End.FORGOTTEN -> Fault(Fault.Kind.REMOVED)
    LastAttempt.End.DROPPED -> droppedFault(last.code, last.detail)
}

/** Why an assignment was given up, by its code. */
private fun droppedFault(code: String, problem: String): Fault = when (code) {
    "integrity-failed" -> Fault(Fault.Kind.DAMAGED)
    "self-test-failed" -> Fault(Fault.Kind.ARITHMETIC)
    "not-eligible" -> Fault(Fault.Kind.NOT_ELIGIBLE)
    "round-closed", "lease-expired", "timed-out", "out-of-turn" -> Fault(Fault.Kind.TOO_LATE)
    "group-closed" -> Fault(Fault.Kind.GROUP_CLOSED)
    "norm-too-large" -> Fault(Fault.Kind.NORM)
    "model-unusable" -> Fault(Fault.Kind.MODEL)
    else -> Fault(Fault.Kind.OTHER, problem)
}

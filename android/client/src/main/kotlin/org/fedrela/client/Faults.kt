package org.fedrela.client

import org.fedrela.core.AssignmentFailed
import org.fedrela.core.FailureCode
import org.fedrela.core.IntegrityError
import org.fedrela.core.InvalidData
import org.fedrela.core.NotEligible
import org.fedrela.core.VerificationFailed

/** What the coordinator is told of a fault: its kind, never its text. */
public fun failureCode(fault: Throwable): FailureCode = when (fault) {
    is AssignmentFailed -> fault.code
    is IntegrityError -> FailureCode.INTEGRITY_FAILED
    is VerificationFailed -> FailureCode.SELF_TEST_FAILED
    is NotEligible, is InvalidData -> FailureCode.NOT_ELIGIBLE
    else -> FailureCode.TRAINING_FAILED
}

package org.fedrela.core

/**
 * What goes wrong, as one tree: each says what is wrong and what to do about it. Nothing else leaves this library,
 * since an exception that nobody expects would end the app.
 */
public sealed class FedRelaError(public val problem: String, public val remedy: String, cause: Throwable? = null) :
    RuntimeException("$problem; $remedy", cause)

/** Bytes, a message, a task or a link of the wrong form; nothing was changed. */
public class InvalidInput(problem: String, remedy: String, cause: Throwable? = null) :
    FedRelaError(problem, remedy, cause)

/** The app's own examples can't be used, or fed to this model. */
public class InvalidData(problem: String, remedy: String, cause: Throwable? = null) :
    FedRelaError(problem, remedy, cause)

/** A hash or a signature does not match, or an answer is older than one that came before. */
public class IntegrityError(problem: String, remedy: String) : FedRelaError(problem, remedy)

/** A program and its golden outputs disagree. */
public class VerificationFailed(problem: String, remedy: String) : FedRelaError(problem, remedy)

/** This device can't take part: no runtime for the programs, or a feature that it doesn't know. */
public class NotEligible(problem: String, remedy: String, cause: Throwable? = null) :
    FedRelaError(problem, remedy, cause)

/** A program fails while it runs. */
public class ProgramFailed(problem: String, remedy: String, cause: Throwable? = null) :
    FedRelaError(problem, remedy, cause)

/** An assignment can't be finished; `code` is what the coordinator is told. */
public class AssignmentFailed(public val code: FailureCode, problem: String) :
    FedRelaError(problem, "the next round is tried")

/** The coordinator refused, with a code and a status. */
public class Refused(problem: String, remedy: String, public val code: String, public val status: Int) :
    FedRelaError(problem, remedy)

/** Nobody is there, or somebody else, or the device can't read or write now; trying again later is right. */
public class Unavailable(problem: String, remedy: String, cause: Throwable? = null) :
    FedRelaError(problem, remedy, cause)

/** What a coordinator is told of a fault: its kind, never its text. */
public enum class FailureCode(public val word: String) {
    NOT_ELIGIBLE("not-eligible"),
    TRAINING_FAILED("training-failed"),
    SELF_TEST_FAILED("self-test-failed"),
    TIMED_OUT("timed-out"),
    INTEGRITY_FAILED("integrity-failed"),
    MODEL_UNUSABLE("model-unusable"),
}

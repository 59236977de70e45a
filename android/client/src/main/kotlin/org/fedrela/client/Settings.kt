package org.fedrela.client

import org.fedrela.core.InvalidInput
import org.fedrela.core.task.Eligibility

/** The owner's choices. Both they and the task's conditions must hold before a device trains. */
public class Settings(
    public val eligibility: Eligibility = Eligibility(),
    public val checkpointSteps: Int = 20, // the training state is kept every so many steps
    public val checkSeconds: Double = 5.0, // between two looks at the sensors while training
    public val pauseSeconds: Double = 10.0, // between two looks while training is paused
    public val maxSteps: Int = 0, // of one round; 0: as many as the task asks for
    public val holdoutFraction: Double = 0.0, // of the examples, never trained on
    public val allowEvaluation: Boolean = false, // may totals over the hold-out be reported where a task asks
    public val maxDownloadBytes: Long = 200_000_000, // of one file
    public val smallestGroup: Int = 0, // train only where the update is hidden among so many; 0: hidden or not
    public val maxTasks: Int = 4, // whose programs are kept; the least recently used goes first
) {
    init {
        val isUsable = checkpointSteps > 0 && checkSeconds >= 0 && pauseSeconds > 0 && maxSteps >= 0 &&
            holdoutFraction >= 0 && holdoutFraction < 1 && maxDownloadBytes > 0 && smallestGroup >= 0 && maxTasks > 0
        if (!isUsable) throw InvalidInput("a setting is out of bounds", "look at the bounds beside each of them")
    }
}

/** Progress, for whoever embeds a client. Nothing of it is sent anywhere. */
public class Event(
    public val kind: Kind,
    public val taskId: String,
    public val round: Long,
    public val step: Int = 0,
    public val steps: Int = 0,
    public val loss: Float = 0f, // mean over the batch
    public val detail: String = "",
) {
    public enum class Kind {
        ASSIGNED, READY, RELABELED, STEP, PAUSED, RESUMED, GROUP, UPLOADED, DROPPED, NEW_KEY, NEW_EPOCH,
    }
}

/** How an assignment ended. */
public sealed interface Outcome {
    public class Uploaded(public val round: Long, public val isDuplicate: Boolean) : Outcome

    public class Waiting(public val reason: String, public val retryAfterSeconds: Double) : Outcome

    public class Dropped(
        public val round: Long,
        public val code: String,
        public val problem: String,
        public val retryAfterSeconds: Double = 0.0,
    ) : Outcome

    /** What was under way is kept; the next call goes on. */
    public object Stopped : Outcome
}

"""What an owner may rely on, in plain words, by the privacy of a task: the one place for these sentences.

>>> of(Task("digits", 20), fleet="")
'task digits: plain. The coordinator receives each update by itself, and can read from it which classes this device has'
"""

from fedrela.core.task import SMALLEST_COHORT, Task

PLAIN = "The coordinator receives each update by itself, and can read from it which classes this device has"


# Who may be in a group is the coordinator's word then.
NO_FLEET = (
    "; no fleet's key vouches for the others, so this holds for a stolen disk and for a coordinator that follows the "
    "protocol: one that invents devices can read an update"
)


def of(task: Task, fleet: str) -> str:
    """What a task's coordinator can read of one device. `fleet`: what the device's link says of one; empty: nothing."""
    if task.privacy.secure == "none":
        return f"task {task.name}: plain. {PLAIN}"
    return (
        f"task {task.name}: secure. The coordinator learns the sum over a group of at least "
        f"{task.privacy.group_minimum} devices, and no update of one unless a third of the group helps it"
        f"{'' if fleet else NO_FLEET}"
    )


def cohort(task: Task) -> str:
    """What an owner should know of how few devices make a model; empty where it is as usual."""
    few = task.round.smallest_cohort
    if few >= SMALLEST_COHORT:
        return ""
    mixed = f"as few as {few} devices are mixed" if few > 1 else "a model may come from one device alone"
    return (
        f"task {task.name}: {mixed} (usual: at least {SMALLEST_COHORT}), "
        "so whoever sees the models may tell what this device sent"
    )

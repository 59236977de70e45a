"""What an owner may rely on, in plain words, by the privacy of a task: the one place for these sentences.

>>> of(Task("digits", 20))
'task digits: plain. The coordinator receives each update by itself, and can read from it which classes this device has'
"""

from fedrela.core.task import SMALLEST_COHORT, Task

PLAIN = "The coordinator receives each update by itself, and can read from it which classes this device has"


def of(task: Task) -> str:
    """What a task's coordinator can read of one device."""
    if task.privacy.secure == "none":
        return f"task {task.name}: plain. {PLAIN}"
    return (
        f"task {task.name}: secure. The coordinator learns the sum over a group of at least "
        f"{task.privacy.group_minimum} devices, and no update of one unless a third of the group helps it"
    )


def cohort(task: Task) -> str:
    """What an owner should know of how few devices make a model; empty where it is as usual."""
    few = task.round.smallest_cohort
    if few >= SMALLEST_COHORT:
        return ""
    return (
        f"task {task.name}: as few as {few} devices are mixed (usual: {SMALLEST_COHORT}), "
        "so whoever sees the models may tell what this device sent"
    )

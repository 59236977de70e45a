"""What an owner asks of a task before this device works for it: `[privacy]` in the device's settings.

[privacy]
require = "peers"        # refuse tasks whose updates the coordinator could read one by one
smallest_group = 14      # and those whose groups may be smaller; of a group fewer than a third may be lost

>>> obstacle(PrivacyRequirement("peers"), Task("digits", 20))
"the coordinator could read this device's updates, and its owner requires that it can't"
"""

from dataclasses import dataclass
from typing import Annotated, Literal

from fedrela.core import strict
from fedrela.core.errors import InvalidInput
from fedrela.core.protocol.limits import Between
from fedrela.core.secure.messages import LARGEST_GROUP, SMALLEST_GROUP
from fedrela.core.task import Task


@dataclass(frozen=True)
class PrivacyRequirement:
    """`smallest_group`: members of a group, fewer than a third of whom may be lost; asked of "peers" alone."""

    require: Literal["none", "peers"] = "none"
    smallest_group: Annotated[int, Between(SMALLEST_GROUP, LARGEST_GROUP)] = SMALLEST_GROUP

    def __post_init__(self) -> None:
        strict.check(self, InvalidInput, "privacy")


def obstacle(owner: PrivacyRequirement, task: Task) -> str:
    """Why the owner's requirement forbids a task; empty where it doesn't."""
    if owner.require == "none":
        return ""
    if task.privacy.secure != "peers":
        return "the coordinator could read this device's updates, and its owner requires that it can't"
    if task.privacy.group_minimum < owner.smallest_group:
        return (
            f"the task has groups of as few as {task.privacy.group_minimum} devices, "
            f"and this device's owner requires {owner.smallest_group}"
        )
    return ""

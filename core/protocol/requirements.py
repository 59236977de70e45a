"""What a task's own values ask of clients beyond the base of the protocol, as words for its `requires`.

>>> complete({"local": {"lr_schedule": "cosine"}})["requires"]
['lr-schedule']
>>> complete({"local": {}})
{'local': {}}
"""

from collections.abc import Mapping
from typing import Any

LR_SCHEDULE = "lr-schedule"  # a learning rate that falls over the rounds


def complete(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a task's file with what they ask for put into `requires`; what is malformed stays as it is."""
    local, named = values.get("local"), values.get("requires", [])
    scheduled = isinstance(local, Mapping) and local.get("lr_schedule", "constant") != "constant"
    if not scheduled or not isinstance(named, list) or LR_SCHEDULE in named:
        return dict(values)
    return {**values, "requires": [*named, LR_SCHEDULE]}

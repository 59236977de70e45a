"""How a task travels: as the values that differ from the protocol's defaults, so that an old client reads new tasks.

The protocol's defaults are what a client of that protocol version takes for a value that isn't there. They never
change, whatever a new task's defaults (`fedrela.core.task`) become: where the two differ, the value travels.

    >>> encode(Task("digits", 20))
    b'{"name":"digits","round":{"smallest_cohort":5},"rounds":20}'
    >>> decode(b'{"name":"digits","rounds":20,"later":1}').local.epochs
    5
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from fedrela.core import strict
from fedrela.core.errors import InvalidTask
from fedrela.core.protocol import json_text
from fedrela.core.protocol.limits import SAFE_WHOLE
from fedrela.core.task import Task

PROTOCOL_DEFAULTS: Mapping[str, Any] = {
    "population": "default",
    "seed": 0,
    "local_evaluation": False,
    "requires": (),
    "local": {
        "epochs": 5,
        "batch_size": 8,
        "hyperparameters": {},
        "max_steps": 0,
        "sampling": "shuffle",
        "synthesis": "none",
        "lr_schedule": "constant",
    },
    "relabel": {
        "enabled": True,
        "start": 0.8,
        "period": 0,
        "threshold_percent": 5.0,
        "passes": 5,
        "lr_scale": 0.1,
    },
    "round": {
        "mode": "synchronous",
        "goal": 10,
        "minimum": 1,
        "over_selection": 1.0,
        "deadline_seconds": 600.0,
        "compute_lease_seconds": 300.0,
        "upload_lease_seconds": 60.0,
        "retries": 3,
        "retry_after_seconds": 1.0,
        "concurrency": 0,
        "max_staleness": 20,
        "staleness_exponent": 0.5,
        "smallest_cohort": 1,
    },
    "aggregation": {
        "rule": "mean",
        "weight_by_examples": True,
        "max_examples": 10_000,
        "clip_norm": 0.0,
        "trim_fraction": 0.2,
        "byzantine_fraction": 0.2,
        "server_optimizer": "fedavg",
        "server_lr": 1.0,
        "server_momentum": 0.9,
        "server_beta2": 0.99,
        "server_epsilon": 1e-3,
        "encoding": "float32",
        "top_k_fraction": 0.1,
    },
    "eligibility": {
        "min_battery_percent": 0.0,
        "require_unmetered_network": False,
        "max_cpu_celsius": 0.0,
        "refuse_when_throttled": False,
        "max_load_per_core": 0.0,
        "min_free_disk_bytes": 0,
        "min_free_memory_bytes": 0,
        "min_examples": 1,
        "hours": "",
        "min_client_versions": {},
        "max_client_versions": {},
        "device_fraction": 1.0,
        "min_separation_seconds": 0.0,
    },
    "privacy": {
        "secure": "none",
        "group_target": 16,
        "group_minimum": 14,
        "gather_seconds": 30.0,
        "phase_seconds": 20.0,
        "clip_norm": 64.0,
        "clipped_share": 0.0,
        "statistics_clip_norm": 1024.0,
    },
}


def encode(task: Task) -> bytes:
    """The canonical body of a task: equal tasks give equal bytes."""
    return json_text.encode(sparse(task))


def sparse(task: Task) -> dict[str, Any]:
    """The values that differ from the protocol's defaults; a seed beyond 2^53 as text."""
    return _differing(whole(task), PROTOCOL_DEFAULTS)


def whole(task: Task) -> dict[str, Any]:
    """All values; a seed beyond 2^53 as text."""
    values = dataclasses.asdict(task)
    return values | {"seed": str(task.seed)} if task.seed > SAFE_WHOLE else values


def decode(body: bytes | str) -> Task:
    """A task as it travels and as it is stored. Raises InvalidTask."""
    values = json_text.parse(body, InvalidTask)
    if not isinstance(values, dict):
        raise InvalidTask("the task is not an object", remedy="send one JSON object")
    whole = dict(values)
    for name, default in PROTOCOL_DEFAULTS.items():
        value = whole.setdefault(name, default)
        if isinstance(default, Mapping) and isinstance(value, dict):
            whole[name] = {**default, **value}
    if isinstance(whole["seed"], str):
        whole["seed"] = _seed(whole["seed"])
    return strict.build(Task, whole, InvalidTask, ignore_unknown=True)


def _seed(text: str) -> int:
    """A seed of up to 100 digits. A smaller one may be a text, too."""
    canonical = text.isascii() and text.isdigit() and (text == "0" or text[0] != "0")
    if not canonical or len(text) > 100:
        raise InvalidTask(f"seed is {text[:40]!r}", remedy="write it with 1 to 100 digits and no leading zero")
    return int(text)


def _differing(values: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """The entries of `values` that `defaults` doesn't hold, table by table. 1 and 1.0 differ: see `relabel.start`."""
    differing: dict[str, Any] = {}
    for name, value in values.items():
        default = defaults.get(name)
        if isinstance(default, Mapping) and default:
            if inner := _differing(value, default):
                differing[name] = inner
        elif name not in defaults or value != default or type(value) is not type(default):
            differing[name] = value
    return differing

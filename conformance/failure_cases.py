"""`failures.json`: which of the six codes a fault is reported with.

>>> len({item["code"] for item in build()["faults"]})
6
"""

from typing import Any

from fedrela.core.wire import FailureCode

# code, fault, the case of http.json that plays it
FAULTS: tuple[tuple[FailureCode, str, str], ...] = (
    ("integrity-failed", "the pinned key did not sign the assignment", "forged-signature"),
    ("integrity-failed", "no publisher that the link names has signed the program", "seal-another-publisher"),
    ("integrity-failed", "a blob does not match its hash, three times", "blob-changed"),
    ("integrity-failed", "a blob is longer than announced", "blob-longer"),
    ("integrity-failed", "a task is longer than 1 000 000 bytes, a manifest than 16 000 000", "task-too-long"),
    ("integrity-failed", "more bytes are announced than the model needs or this device takes", "checkpoint-too-large"),
    ("self-test-failed", "the golden steps give other outputs", "golden-wrong"),
    ("self-test-failed", "the golden outputs can't be compared", "golden-unreadable"),
    ("not-eligible", "the bundle has no program for a runtime of this device", "other-runtime"),
    ("not-eligible", "the programs need a newer runtime", "newer-runtime"),
    ("not-eligible", "the runtime can't load a program", "program-unreadable"),
    ("not-eligible", "the task requires a feature that this client doesn't know", "task-requires"),
    ("not-eligible", "the manifest requires a feature that this client doesn't know", "manifest-requires"),
    ("not-eligible", "this device holds fewer examples than the task asks for", "too-few-examples"),
    ("not-eligible", "the local data can't be used, or fed to this model", ""),
    ("not-eligible", "the lease ended while training was paused", ""),
    ("model-unusable", "the global model predicts values that are not finite", "model-unusable"),
    ("timed-out", "the lease ended while training", "lease-over-while-training"),
    ("timed-out", "the lease ended before the upload", ""),
    ("training-failed", "the task is malformed", "task-malformed"),
    ("training-failed", "a value of the task is beyond its limits", "task-beyond-limits"),
    ("training-failed", "the manifest is malformed or breaks a rule", "hostile-manifest-role"),
    ("training-failed", "the weights are malformed or not those of the manifest", "checkpoint-unreadable"),
    ("training-failed", "the loss is no longer finite", ""),
    ("training-failed", "predictions on the local data are not finite", ""),
    ("training-failed", "a program fails while it runs", ""),
    ("training-failed", "there is not enough memory", ""),
)  # fmt: skip


def build() -> dict[str, Any]:
    """The document failures.json."""
    return {"faults": [{"code": code, "fault": fault, "case": case} for code, fault, case in FAULTS]}

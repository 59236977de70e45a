"""Turns a PyTorch classifier into training programs for devices.

from fedrela.export import export_classifier
export_classifier(model, input="uint8:3x32x32", classes=10, out="bundle")
"""

from typing import Any

__all__ = ["export_classifier"]


def __getattr__(name: str) -> Any:
    """Loads torch only when something here is asked for; `fedrela.export.verification.replay` runs without it."""
    if name == "export_classifier":
        from fedrela.export.classifier import export_classifier

        return export_classifier
    raise AttributeError(f"module 'export' has no attribute {name!r}")

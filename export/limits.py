"""How large a program's open dimensions may be.

>>> check_max_batch(1, ["onnx"])
"""

from collections.abc import Collection

from fedrela.core.errors import InvalidInput

DEFAULT_MAX_BATCH = 64  # of ExecuTorch's train_step and predict, whose memory is planned ahead for the largest batch
MAX_RELABEL_SAMPLES = 1 << 13  # of ExecuTorch's relabel, which takes all of a device's samples at once
UNBOUNDED = 1 << 20  # of a traced graph whose runtime asks for no limit
LEAST_MAX_BATCH = 8  # of ExecuTorch's: as many examples as the golden steps have, which each device runs


def check_max_batch(max_batch: int, runtimes: Collection[str]) -> None:
    """Raise InvalidInput for a largest batch that no program has, or in which ExecuTorch's golden steps don't fit."""
    least = LEAST_MAX_BATCH if "executorch" in runtimes else 1
    if max_batch < least:
        raise InvalidInput(
            f"a largest batch of {max_batch}",
            remedy=f"let it be {least} or more: devices may train with smaller batches all the same",
        )

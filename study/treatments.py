"""What a branch of the study's own loop does that no task asks of a device. The usual values are plain FedReLa.

>>> Treatment(relabels="soft").shown()
{'relabels': 'soft'}
"""

import dataclasses
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from fedrela.core.protocol.limits import Between


@dataclass(frozen=True)
class Treatment:
    """How `fedrela.study.loop` trains a branch. The branch that keeps its labels is plain federated averaging."""

    after: Annotated[int, Between(0, 100_000)] = 0  # rounds of the branch with the trunk's rate, before anything else
    relabels: Literal["none", "hard", "soft"] = "hard"  # soft: both labels, weighed by the flip rate
    counts: Literal["device", "fleet"] = "device"  # whose class counts say which class is rarer
    most_percent: Annotated[float, Between(0, 100)] = 100.0  # of a device's samples of one class: the highest rates
    program: str = ""  # the method whose program and hyperparameters train; empty: the trunk's
    epsilon: Annotated[float, Between(0, 1e6)] = 0.0  # of Laplace noise on the counts that `program` knows; 0: none
    synthesis: Literal["none", "mixup", "smote", "generated"] = "none"
    correction: Literal["none", "scaffold"] = "none"  # of the drift between devices
    noise_multiplier: Annotated[float, Between(0, 1000)] = 0.0  # of Gaussian noise on the sum of clipped changes

    def kept(self) -> "Treatment":
        """That of the branch that keeps its labels, which many treatments share."""
        return Treatment(after=self.after, relabels="none")

    def shown(self) -> dict[str, Any]:
        """What differs from the usual, as plain values: for results and hashes."""
        return {name: value for name, value in dataclasses.asdict(self).items() if value != getattr(Treatment(), name)}

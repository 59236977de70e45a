"""What FedReLa is compared with, and put on top of. A method is data: what to export, and what the task says.

>>> METHODS["fedprox"].export
('--proximal',)
"""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Method:
    """`export`: further options of `fedrela export`. `local` and `aggregation`: values of those tables of the task."""

    title: str
    source: str
    export: tuple[str, ...] = ()
    model_suffix: str = ""  # added to the name of the function that builds the model
    hyperparameters: dict[str, float] = field(default_factory=dict)
    local: dict[str, Any] = field(default_factory=dict)
    aggregation: dict[str, Any] = field(default_factory=dict)
    knows_global_counts: bool = False  # an oracle: no deployment could run it


METHODS = {
    "fedavg": Method("FedAvg", "McMahan et al. 2017"),
    "fedprox": Method("FedProx", "Li et al. 2020", ("--proximal",), hyperparameters={"proximal": 0.01}),
    "fedavgm": Method(
        "FedAvgM",
        "Hsu et al. 2019",
        aggregation={"server_optimizer": "fedavgm", "server_momentum": 0.5},
    ),
    "fedadam": Method(
        "FedAdam",
        "Reddi et al. 2021",
        aggregation={"server_optimizer": "fedadam", "server_lr": 0.01, "server_epsilon": 0.01},
    ),
    "focal": Method("Focal loss", "Lin et al. 2017", ("--loss", "focal")),
    "balanced-softmax": Method("Balanced softmax, local prior", "Ren et al. 2020", ("--loss", "balanced-softmax")),
    "resampling": Method("Class-balanced sampling", "Shen et al. 2016", local={"sampling": "class-balanced"}),
    "mixup": Method("mixup", "Zhang et al. 2018", local={"synthesis": "mixup"}),
    "smote": Method("SMOTE", "Chawla et al. 2002", local={"sampling": "class-balanced", "synthesis": "smote"}),
    "fedetf": Method("FedETF", "Li et al. 2023", ("--loss", "balanced-softmax"), model_suffix="_etf"),
    "fedloge": Method(
        "FedLoGe (generic model)",
        "Xiao et al. 2024",
        ("--loss", "fedrela.study.losses:two_heads"),
        model_suffix="_fedloge",
    ),
    "oracle": Method(
        "Oracle: balanced softmax, global prior",
        "Ren et al. 2020, given the global class counts",
        ("--loss", "fedrela.study.losses:known_prior_{classes}"),
        knows_global_counts=True,
    ),
}

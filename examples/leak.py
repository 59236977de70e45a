"""What a coordinator could read of one device of the demo: from the update that it gets, and from a group's sum.

An attacker with some pictures of each class makes five published attacks (`benchmarks.leakage.attacks`) on what the
coordinator held in round 1. A plain round's updates are gone with their round; a device trains the same again from the
same secret, which an emulation knows, and that it did is checked against the round's model.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.leakage import attacks, measures
from benchmarks.leakage.attacks import Seen
from benchmarks.leakage.fleet import Model, Observed
from fedrela.core import bundle, tensors
from fedrela.core.aggregation import aggregate
from fedrela.core.errors import VerificationFailed
from fedrela.core.task import from_toml
from fedrela.core.tensors import Params
from fedrela.edge.training import local_round
from fedrela.edge.training.examples import Examples
from fedrela.edge.training.local_round import LocalRound
from fedrela.emulator import emulation, scenario
from fedrela.emulator.data import shards
from fedrela.emulator.fleet.profiles import DeviceProfiles

FIRST = 1  # the round
_CLOSE = 1e-4  # of a model's largest weight: sums in another order


@dataclass(frozen=True)
class Files:
    """What the demo has on disk: programs, fleet, the plain task, and both models after its first round."""

    bundle: Path
    fleet: Path
    task: Path
    plain: Path
    secure: Path


def lines(files: Files) -> list[str]:
    """One for each kind of rounds, and one for whoever gets nothing. Raises VerificationFailed."""
    observed = replayed(files)
    devices, examples = range(len(observed.counts)), observed.examples.astype(float)
    base, manifest = observed.checkpoints[0], observed.model.engine.manifest
    after = tensors.from_bytes(files.secure.read_bytes(), manifest.weights)
    total = Seen(FIRST, tensors.subtract(after, base), float(examples.mean()))
    seen = {
        "plain rounds, one update each": [
            Seen(FIRST, observed.changes[FIRST, device], examples[device]) for device in devices
        ],
        "secure rounds, the sum of all": [total for _ in devices],
    }
    found = {what: _best(observed, held) for what, held in seen.items()}
    found["who holds nothing"] = measures.best(list(measures.chance(observed.counts).values()))
    return [
        f"{what + ':':30} the commonest class of {scores['dominant'] * len(devices):2.0f} of {len(devices)} devices; "
        f"{scores['cosine']:.2f} like the true class counts (cosine; 1: the same)"
        for what, scores in found.items()
    ]


def replayed(files: Files) -> Observed:
    """Round 1 of the plain task as its coordinator had it."""
    opened, task = bundle.read(files.bundle), from_toml(files.task.read_text(encoding="utf-8"))
    played, folder = scenario.load(str(files.fleet))
    model = Model(emulation.open_engine(opened.seal.manifest_sha256, opened.blobs()), opened.weights)
    dataset = emulation.load_data(played, folder, opened.manifest)
    dealt, profiles = shards.deal(played, dataset), DeviceProfiles(played)
    held = [dataset.y[dealt.indices(device)] for device in range(played.devices)]
    changes = {}
    for device, labels in enumerate(held):
        local = LocalRound(task, FIRST, profiles.of(device).secret)
        examples = Examples({model.input: dataset.x[dealt.indices(device)]}, labels)
        changes[FIRST, device] = _trained(model, local, examples)
    mean = aggregate.mean(
        [(changes[FIRST, device], float(len(labels))) for device, labels in enumerate(held)], zero=opened.weights
    )
    model_after = tensors.from_bytes(files.plain.read_bytes(), opened.manifest.weights)
    _check_same(tensors.add(opened.weights, mean), model_after)
    counts = np.array([np.bincount(labels, minlength=dataset.classes) for labels in held])
    return Observed(model, task, task.seed, dataset, (opened.weights, model_after), changes, counts, accuracy={})


def _trained(model: Model, local: LocalRound, examples: Examples) -> Params:
    state = model.engine.start(model.weights)
    for _ in local_round.train(model.engine, local, examples, examples.y, state):
        pass
    return local_round.change(model.engine, state, model.weights)


def _check_same(computed: Params, committed: Params) -> None:
    apart = max(float(np.abs(computed[name] - array).max()) for name, array in committed.items())
    if apart > _CLOSE * max(float(np.abs(array).max()) for array in committed.values()):
        raise VerificationFailed(
            f"the updates of round {FIRST}, trained again, are {apart:g} away from the model that was made of them",
            remedy="see what `fedrela verify` says of the bundle",
        )


def _best(observed: Observed, held: list[Seen]) -> measures.Scores:
    """The best attack by each measure: whoever attacks chooses."""
    who, _ = attacks.attacker(observed)
    truths = list(observed.shares)
    return measures.best(
        [measures.judge([attack(who, one) for one in held], truths) for attack in attacks.DIRECT.values()]
    )

"""Which variant is put to the test on other data, and what is claimed of it: fixed before any of it has run.

On CIFAR-10 (`cifar10-gap`) the candidate is chosen: of the variants that ask of a device nothing that its task doesn't
ask for now, and that ran wherever plain FedReLa ran, with the same seeds, the one whose balanced recall lies furthest
above plain FedReLa's on average over settings and seeds, if it does at all and the many lose at most three points by
it; of equals, the better one for the few.

On Fashion-MNIST, with the seeds 4 to 8, which no choice has seen, candidate and plain FedReLa are run again. A gain of
balanced recall is claimed if its 95 % interval, paired over settings and seeds, lies above 0, one of the few only after
that and likewise, and neither if the many lose more than three points.

    candidate = choose(studies["cifar10-gap"].compared)
    claim = confirm(studies["fashion-mnist-confirmation"].compared, candidate)
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from fedrela.study.methods import METHODS
from fedrela.study.pages.closing import beside, difference, is_plain
from fedrela.study.pages.comparison import Difference
from fedrela.study.pages.report import Comparison

MOST_LOST = 0.03  # by the many, as a share


@dataclass(frozen=True)
class Beside:
    """A variant beside plain FedReLa, over settings and seeds."""

    variant: str
    places: frozenset[tuple[str, int]]  # settings with seeds
    balanced: Difference
    few: Difference
    many: Difference

    @property
    def spares_the_many(self) -> bool:
        """They lose no more than is allowed."""
        return self.many.mean >= -MOST_LOST

    @property
    def balanced_claimed(self) -> bool:
        """More recall, every class counting alike."""
        return self.spares_the_many and self.balanced.low > 0

    @property
    def few_claimed(self) -> bool:
        """More recall for the rarest, too."""
        return self.balanced_claimed and self.few.low > 0


def choose(compared: list[Comparison]) -> str | None:
    """The candidate's name; None where no variant may be one, or plain FedReLa has not run."""
    everywhere = {(item.setting, seed) for item in compared if is_plain(item) for seed in item.seeds}
    found = [
        one for one in _all(compared) if one.places == everywhere and one.spares_the_many and one.balanced.mean > 0
    ]
    best = max(found, key=lambda one: (one.balanced.mean, one.few.mean), default=None)
    return best.variant if best else None


def confirm(compared: list[Comparison], candidate: str) -> Beside | None:
    """The candidate beside plain FedReLa; None where it has not run."""
    return next((one for one in _all(compared) if one.variant == candidate), None)


def _all(compared: list[Comparison]) -> list[Beside]:
    """Every variant that may be a candidate."""
    metrics = ("balanced", "few", "many")
    pairs: dict[str, dict[str, dict[tuple[str, int], tuple[float, float]]]] = defaultdict(lambda: defaultdict(dict))
    for item in compared:
        if _asks_for_nothing_new(item.variant):
            for metric in metrics:
                by_seed = beside(item, compared, metric)
                pairs[item.variant["name"]][metric] |= {(item.setting, seed): pair for seed, pair in by_seed.items()}
    return [
        Beside(name, frozenset(of["many"]), *(difference(of[metric].values()) for metric in metrics))
        for name, of in pairs.items()
        if of["many"]
    ]


def _asks_for_nothing_new(variant: Mapping[str, object]) -> bool:
    """No class count leaves a device, with or without noise."""
    treatment = variant.get("treatment")
    if not isinstance(treatment, Mapping):
        return True
    program = METHODS.get(treatment.get("program", ""))
    return treatment.get("counts", "device") == "device" and not (program and program.knows_global_counts)

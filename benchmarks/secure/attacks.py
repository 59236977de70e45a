"""What does the disk of a coordinator tell of its devices, in secure rounds?

    python -m benchmarks.secure.attacks                    # 1 600 devices; about half an hour on one core
    python -m benchmarks.secure.attacks --devices 96       # quicker, and too few for the bar

Devices train on classes of their own and take part in a secure round; 4 % vanish before they send their update. The
coordinator's folder is copied when it holds most: every masked update, every sealed share and all that was revealed.
The six attacks of `benchmarks.leakage` read each device's masked words as its update, and a seventh learns from half of
the devices what their words, their rows and their classes have to do with each other, to guess the other half's. They
read the words as they are; with every pad off that what was revealed takes off; and with those off, too, that five
others of its group know, who collude. Beside them stand the same attacks on random bytes and on the plain updates.

Bar: no AUC farther than 0.03, no total variation distance farther than 0.02 from what the attack reaches on random
bytes; and neither secrets nor updates are anywhere in the folder. A few hundred devices can't tell 0.02 from chance:
how far other random bytes are, looked at as often, is measured beside it. Writes benchmarks/results/secure_attacks.json
and the table of docs/privacy.md.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks import pages
from benchmarks.leakage import attacks, shadow
from benchmarks.leakage.attacks import Attacker, Seen
from benchmarks.leakage.fleet import Observed
from benchmarks.leakage.measures import Guess, Scores, judge
from benchmarks.leakage.shadow import View
from benchmarks.secure import learned_attack, searched_disk, stolen_disk, stored_round
from benchmarks.secure.learned_attack import Held
from benchmarks.secure.stolen_disk import StolenGroup
from benchmarks.secure.stored_round import Stored
from fedrela.core import tensors
from fedrela.core.secure import secure_tasks
from fedrela.core.tensors import Params

COMMAND = "benchmarks.secure.attacks"
RESULTS = Path(__file__).parents[1] / "results" / "secure_attacks.json"
AUC_BAR, TVD_BAR = 0.03, 0.02
SHADOWS = 100  # devices that the attacker simulates
COLLUDING = 5  # members of each group of 16: fewer than a third
RANDOM_DRAWS = 2  # of as many random words as there are masked ones
PLAIN, RANDOM = "plain update", "random bytes"
STORED, REVEALED, COLLUDED = "masked, as stored", "and what was revealed", "and five others of the group collude"
MASKED = (STORED, REVEALED, COLLUDED)
AGAIN = tuple(f"other random bytes, {number}" for number in range(1, 1 + len(MASKED)))

Scored = dict[str, Scores]  # by attack


def main() -> None:
    """Run the round, attack, search, print, write; exit status 1 where a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--devices", type=int, default=1600)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="write nothing")
    arguments = parser.parse_args()
    began = time.process_time()

    def say(text: str) -> None:
        print(f"{time.process_time() - began:6.0f} s  {text}", file=sys.stderr, flush=True)

    with tempfile.TemporaryDirectory(prefix="secure-attacks-") as folder, threadpool_limits(1):
        stored = stored_round.run(Path(folder), arguments.devices, arguments.seed, say)
        found = {name: searched_disk.found(stored, getattr(stored, name)) for name in ("full", "after")}
        scored = dict[str, Scored]()
        for name, held in held_in(stored).items():
            scored[name] = rounded(scores(stored.observed, held))
            say(name)
    document = {
        "devices": arguments.devices,
        "in_sums": sum(bool(player.body) for player in stored.players),
        "group": stored_round.GROUP,
        "seed": arguments.seed,
        "found": found,
        "views": {name: one for name, one in scored.items() if name not in AGAIN},
        "farthest": farthest([scored[name] for name in MASKED], scored[RANDOM]),
        "farthest_random": farthest([scored[name] for name in AGAIN], scored[RANDOM]),
    }
    print(table(document))
    for name, numbers in found.items():
        print(f"{name}: {numbers}")
    if not arguments.quick:
        RESULTS.write_text(json.dumps(document, indent=1, allow_nan=False) + "\n", encoding="utf-8")
        pages.write(pages.PRIVACY, COMMAND, table(document))
    sys.exit(bool(faults(document)))


def held_in(stored: Stored) -> dict[str, list[Held]]:
    """What an attacker has of each device, by what it is that it has."""
    observed = stored.observed
    manifest = observed.model.engine.manifest
    size = secure_tasks.words(observed.task, manifest)
    stolen = stolen_disk.read(stored.full, size)
    revealed = [stolen_disk.own_pads_off(group) for group in stolen]
    number_of = {player.assignment["assignment_id"]: player.number for player in stored.players}
    mask_keys = {player.number: player.member.secrets.mask_key for player in stored.players if player.member}
    usual = float(np.median([tensors.l2_norm(change) for change in stored.changes]))

    def held(groups: list[StolenGroup]) -> list[Held]:
        return [
            Held(number_of[group.assignment_id(index)] - 1, _update(words, observed, usual), group.texts[index])
            for group in groups
            for index, words in group.words.items()
        ]

    def colluded(group: StolenGroup) -> StolenGroup:
        known = {index: mask_keys[number_of[group.assignment_id(index)]] for index in group.words}
        return stolen_disk.colluding(group, known, COLLUDING)

    rng = np.random.default_rng([observed.seed, 62])
    views = {STORED: held(stolen), REVEALED: held(revealed), COLLUDED: held(list(map(colluded, revealed)))}
    masked = views[STORED]
    plain = [Held(one.device, stored.changes[one.device], one.text) for one in masked]

    def noise() -> list[Held]:
        return [
            Held(one.device, _update(_random_words(rng, size), observed, usual), rng.bytes(len(one.text)))
            for one in masked
        ]

    random = [held for _ in range(RANDOM_DRAWS) for held in noise()]
    return {PLAIN: plain, **views, RANDOM: random, **{name: noise() for name in AGAIN}}


def _random_words(rng: np.random.Generator, size: int) -> np.ndarray[Any, np.dtype[np.uint32]]:
    return np.frombuffer(rng.bytes(4 * size), "<u4")


def _update(words: np.ndarray[Any, np.dtype[np.uint32]], observed: Observed, usual_norm: float) -> Params:
    """Words as an update of the size that updates have, so that attacks don't drown in it."""
    manifest = observed.model.engine.manifest
    sizes = np.cumsum([block.size for block in secure_tasks.layout(observed.task, manifest, 0).blocks])
    values = words.view(np.int32).astype(np.float64)
    change = secure_tasks.unflatten(np.split(values[: sizes[-1]], sizes[:-1]), manifest)
    norm = np.sqrt(sum(np.sum(np.square(array)) for array in change.values()))
    return {name: (array * (usual_norm / norm)).astype(np.float32) for name, array in change.items()}


def scores(observed: Observed, held: list[Held]) -> Scored:
    """How good each attack is, over all devices."""
    who, _ = attacks.attacker(observed)
    guesses = _guesses(who, held)
    truths = [observed.shares[one.device] for one in held]
    return {name: judge(made, truths) for name, made in guesses.items()}


def _guesses(who: Attacker, held: list[Held]) -> dict[str, list[Guess]]:
    """By attack. How many samples a device has, nobody says in a secure round: the usual number is known."""
    usual = float(np.median(who.observed.examples))
    known = {**attacks.DIRECT, "shadow": shadow.learn(who, 1, View(), _simulated(who))}
    made = {
        name: [attack(who, Seen(1, one.change, usual)) for one in held] for name, attack in known.items()
    }  # each attack over all devices
    return {**made, "learned": learned_attack.guesses(who, held, usual)}


_POOLS: dict[int, list[shadow.Simulated]] = {}


def _simulated(who: Attacker) -> list[shadow.Simulated]:
    """The attacker's own devices, trained once."""
    seed = who.observed.seed
    if seed not in _POOLS:
        _POOLS[seed] = shadow.pool(who, 1, SHADOWS)
    return _POOLS[seed]


def rounded(scored: Scored) -> Scored:
    """To four places."""
    return {attack: {name: round(value, 4) for name, value in of.items()} for attack, of in scored.items()}


def farthest(views: Sequence[Scored], random: Scored) -> dict[str, float]:
    """The largest distance of any attack on any of these from the same attack on random bytes, by measure."""
    return {
        measure: round(
            max(abs(view[attack][measure] - of[measure]) for view in views for attack, of in random.items()), 4
        )
        for measure in ("auc", "tvd")
    }


def faults(document: Mapping[str, Any]) -> list[str]:
    """Which bars are missed."""
    wrong = [] if document["farthest"]["auc"] <= AUC_BAR else ["AUC"]
    wrong += [] if document["farthest"]["tvd"] <= TVD_BAR else ["TVD"]
    return wrong + [name for name, numbers in document["found"].items() if numbers["secrets"] or numbers["updates"]]


def table(document: Mapping[str, Any]) -> str:
    """Every attack on every view: AUC, and TVD in brackets."""
    views = document["views"]
    columns = (PLAIN, STORED, REVEALED, COLLUDED, RANDOM)
    lines = [f"| attack | {' | '.join(columns)} |\n", f"|---|{'---:|' * len(columns)}\n"]
    for attack in views[RANDOM]:
        cells = [f"{views[view][attack]['auc']:.3f} ({views[view][attack]['tvd']:.2f})" for view in columns]
        lines.append(f"| {attack} | {' | '.join(cells)} |\n")
    return "".join([*lines, _found(document)])


def _found(document: Mapping[str, Any]) -> str:
    """What was farthest, and what is in the folder, in words."""
    full, after, far = document["found"]["full"], document["found"]["after"], document["farthest"]
    chance = document.get("farthest_random")  # runs before it was measured have none
    others = f"; other random bytes, looked at as often, {chance['auc']:.3f} and {chance['tvd']:.3f}" if chance else ""
    return (
        f"\nOf {document['devices']} devices {document['in_sums']} are in the sums. Farthest from random bytes: AUC "
        f"{far['auc']:.3f}, TVD {far['tvd']:.3f}{others}. In the folder's {full['bytes'] / 1e6:.0f} MB are the masked "
        f"words of {full['masked']} devices, secrets of {full['secrets']} and readable updates of {full['updates']}; "
        f"once the round is over, masked words of {after['masked']}.\n"
    )


if __name__ == "__main__":
    main()

"""Devices of a secure round that speak HTTP and compute as `core.secure.member` does, without training.

players = gather(house, 5, SECURE)
play(players, lost={2: "mask"})
"""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedrela.conformance.secure.sessions import secret
from fedrela.core import signing, strict
from fedrela.core.bundle import Manifest, parse_manifest
from fedrela.core.privacy import SECURE_FEATURE, Privacy
from fedrela.core.protocol import task_json
from fedrela.core.secure import fixed_point, secure_tasks
from fedrela.core.secure import member as members
from fedrela.core.secure.fixed_point import Extras
from fedrela.core.secure.member import Member, Secrets
from fedrela.core.secure.messages import SecureStep
from fedrela.core.secure.roster import Terms
from fedrela.core.secure.statements import Work
from fedrela.core.task import Aggregation, Relabel, Rounds, Task
from fedrela.core.tensors import Params
from tests.coordinator import fleet

STEPS = ("keys", "share", "mask", "agree", "reveal")
PLAIN = Relabel(enabled=False)


def secure_task(
    rounds: int = 3, *, members: int = 5, goal: int = 0, deadline_seconds: float = 1000.0, **privacy: Any
) -> Task:
    """A task whose groups have so many members."""
    settings = Rounds(goal=goal or members, smallest_cohort=min(members, 4), deadline_seconds=deadline_seconds)
    return Task(
        "secure",
        rounds,
        round=settings,
        relabel=PLAIN,
        aggregation=Aggregation(weight_by_examples=False),
        privacy=Privacy("peers", **{"group_target": members, "group_minimum": members} | privacy),
    )


@dataclass
class Player:
    """One device with an assignment, and where it stands in its session."""

    device: fleet.Device
    number: int
    assignment: dict[str, Any]
    task: Task
    manifest: Manifest
    change: Params
    extras: Extras = field(default_factory=lambda: Extras(1.0))
    hostile_words: int | NDArray[np.int64] = 0  # added to what it masks, after all that an honest one does
    attempt: int = 0
    member: Member | None = None
    body: bytes = b""
    sent: list[tuple[str, bytes]] = field(default_factory=list)  # what it has sent, to be sent again

    def path(self, what: str) -> str:
        """Of one of its requests."""
        return f"/v1/assignments/{self.assignment['assignment_id']}/secure" + (f"/{what}" if what else "")

    def put(self, what: str, message: object) -> Any:
        """Send a message; the HTTP answer."""
        content = strict.to_json(message)
        self.sent.append((what, content))
        return self.device.http.put(self.path(what), content=content, auth=self.device.auth)

    def step(self) -> SecureStep:
        """What it is told to do next."""
        answer = self.device.http.get(self.path(""), auth=self.device.auth)
        assert answer.status_code == 200, answer.text
        return strict.from_json(SecureStep, answer.content)

    @property
    def terms(self) -> Terms:
        """What it knows before it meets the others."""
        of_work = ("task_sha256", "manifest_sha256", "checkpoint_sha256", "round", "clip_millionths")
        return Terms(
            self.assignment["assignment_id"],
            Work(*(self.assignment[name] for name in of_work)),
            self.device.population,
            signing.public_key(self.device.private_key),
            self.task.privacy.group_minimum,
        )

    def secrets(self) -> Secrets:
        """New ones for each attempt."""
        return Secrets(*(secret(name, self.number, self.attempt) for name in ("mask", "seal", "own", "polynomials")))

    def vector(self) -> np.ndarray[Any, np.dtype[np.int32]]:
        """Its update as whole numbers, nothing rounded up."""
        layout = secure_tasks.layout(self.task, self.manifest, self.assignment["clip_millionths"])
        blocks = secure_tasks.flatten(self.change, self.manifest)
        return fixed_point.encode(layout, blocks, self.extras, np.zeros(sum(map(len, blocks)), np.float32))

    def send_keys(self) -> None:
        """Begin a session."""
        self.attempt += 1
        self.member = members.offer(self.terms, self.secrets(), self.device.private_key)
        accepted(self.put("keys", self.member.keys))

    def act(self, step: SecureStep) -> None:
        """Do what a step asks for."""
        assert self.member is not None
        if step.step == "share" and step.roster:
            self.member, shares = members.share(self.member, step.roster)
            accepted(self.put("shares", shares))
        elif step.step == "mask" and step.inbox:
            vector = self.vector() + np.asarray(self.hostile_words, np.int32)
            self.member, body, _ = members.mask(self.member, step.inbox, vector, self.device.private_key)
            self.body = bytes(body)
            assert self.device.upload(self.assignment, self.body).status_code == 200
        elif step.step == "agree" and step.survivors:
            self.member, agreement = members.agree(self.member, step.survivors, self.device.private_key)
            accepted(self.put("agreement", agreement))
        elif step.step == "reveal" and step.agreements:
            self.member, reveal = members.reveal(self.member, step.agreements)
            accepted(self.put("reveal", reveal))
        elif step.step == "again":
            self.send_keys()


def accepted(answer: Any) -> None:
    """Fail the test where a message was refused."""
    assert answer.status_code == 204, answer.text


def change_of(number: int, shapes: Mapping[str, tuple[int, ...]] = fleet.SHAPES) -> Params:
    """An update that is another for each device."""
    draw = np.random.default_rng(number)
    return {name: draw.normal(0, 0.5, shape).astype(np.float32) for name, shape in shapes.items()}


def at_work(devices: Sequence[fleet.Device], operator: fleet.Operator, first: int = 1) -> list[Player]:
    """Devices that have taken an assignment and trained."""
    players = []
    for number, device in enumerate(devices, start=first):
        assignment = device.check_in(features=(SECURE_FEATURE,))["assignment"]
        assert assignment, "this device is not wanted"
        bodies = [fetch(operator, assignment[name]) for name in ("task_sha256", "manifest_sha256")]
        task, manifest = task_json.decode(bodies[0]), parse_manifest(bodies[1])
        players.append(Player(device, number, assignment, task, manifest, change_of(number)))
    return players


def fetch(operator: fleet.Operator, sha256: str) -> bytes:
    """A blob."""
    return bytes(operator.http.get(f"/v1/blobs/{sha256}", headers=operator.headers).content)


def play(
    players: Sequence[Player],
    *,
    lost: Mapping[int, str] | None = None,
    until: str = "",
    pass_time: Callable[[], None] = lambda: None,
    between: Callable[[str], None] = lambda step: None,
) -> None:
    """Play until nobody has anything to do. `lost`: by a player's number, the step that it doesn't do any more.

    `until`: stop before anybody does this step. `pass_time` is called where all who are there wait; `between`, after
    each thing that somebody did.
    """
    lost = lost or {}
    idle = 0
    while idle < 3:
        busy = False
        for player in players:
            step = SecureStep("again", reason="begin") if player.member is None else player.step()
            name = "keys" if step.step == "again" else step.step
            if name == until:
                return
            if name in STEPS and not _is_away(lost.get(player.number), name):
                player.act(step) if player.member is not None else player.send_keys()
                between(name)
                busy = True
        idle = 0 if busy else idle + 1
        if not busy:
            pass_time()


def _is_away(lost_before: str | None, step: str) -> bool:
    return lost_before is not None and STEPS.index(step) >= STEPS.index(lost_before)


def mean_of(players: Sequence[Player]) -> Params:
    """What plain aggregation gives, in float64."""
    names = players[0].change
    return {name: np.mean([player.change[name].astype(np.float64) for player in players], axis=0) for name in names}


def bound(players: Sequence[Player]) -> float:
    """How far a coordinate of the mean may be from it: a step of each member, and float32's own rounding."""
    layout = secure_tasks.layout(players[0].task, players[0].manifest, players[0].assignment["clip_millionths"])
    return 2 * layout.step(layout.blocks[0].clip_norm) + 1e-6


def ticking(house: Any, start: float = 0.0) -> Callable[[], None]:
    """Moves a house's virtual clock on by more than a phase each time."""
    times = itertools.count(1)
    return lambda: house.clock(start + 61.0 * next(times))


def private_blobs(house: Any) -> list[str]:
    """What is stored that no device may fetch."""
    return [blob.name for blob in house.coordinator.blobs.listing() if blob.name.startswith("private/")]


def begin(house: Any, count: int = 5, **settings: Any) -> tuple[str, list[Player]]:
    """A published task, and devices that have trained for its first round."""
    task_id = house.operator.publish(house.bundle, secure_task(members=5, **settings))
    return task_id, at_work(house.devices(count), house.operator)


def check_mean(operator: fleet.Operator, task_id: str, summed: list[Player]) -> None:
    """The first round's model is the mean of these players' changes."""
    first = operator.rounds(task_id)[0]
    assert (first["phase"], first["updates"]) == ("committed", len(summed))
    weights, expected = operator.weights(first["checkpoint_sha256"]), mean_of(summed)
    for name, mean in expected.items():
        assert np.abs(weights[name] - mean).max() <= bound(summed), name

"""What a lying coordinator may say: one lie a line of what a device refuses (conformance/secure.md, A session).

Each lie turns a true step into the one that the device is told; all other steps stay true.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from fedrela.core import signing, strict
from fedrela.core.secure import ciphers, statements
from fedrela.core.secure.messages import Agreements, Certificate, Inbox, RosterMember, SecureKeys, SecureStep, Survivors
from fedrela.core.secure.statements import Work
from tests.edge.secure.group_coordinator import FLEET_KEY, GroupCoordinator
from tests.edge.secure.played_group import ME, certificate, identity

Lie = Callable[[SecureStep, GroupCoordinator], SecureStep]


def signed(index: int, work: Work, assignment_id: str, mask_key: str, seal_key: str) -> SecureKeys:
    """Keys that the identity of `index` has signed for some work."""
    text = statements.keys(work, assignment_id, mask_key, seal_key)
    return SecureKeys(mask_key, seal_key, signing.sign(identity(index), text))


def _roster(change: Callable[[list[RosterMember], GroupCoordinator], list[RosterMember]], **values: Any) -> Lie:
    def lie(step: SecureStep, coordinator: GroupCoordinator) -> SecureStep:
        if step.roster is None:
            return step
        members = change(list(step.roster.members), coordinator)
        return replace(step, roster=replace(step.roster, members=tuple(members), **values))

    return lie


def _at(at: int, **values: Any) -> Lie:
    return _roster(lambda members, _: [replace(one, **values) if one.index == at else one for one in members])


def _public(name: str) -> str:
    return ciphers.public_key(signing.sha256(name.encode()).encode()[:32]).hex()


def _stranger_for_me(members: list[RosterMember], coordinator: GroupCoordinator) -> list[RosterMember]:
    keys = signed(9, coordinator.work(), "o-9", _public("mask"), _public("seal"))
    stranger = RosterMember(ME, "o-9", signing.public_key(identity(9)), keys)
    return [stranger if one.index == ME else one for one in members]


def _other_keys_of_me(members: list[RosterMember], _: GroupCoordinator) -> list[RosterMember]:
    return [
        replace(one, keys=replace(one.keys, seal_key=_public("seal"))) if one.index == ME else one for one in members
    ]


def _signed_by_another(members: list[RosterMember], _: GroupCoordinator) -> list[RosterMember]:
    first = members[0].keys.signature
    return [replace(one, keys=replace(one.keys, signature=first)) if one.index == 3 else one for one in members]


def _twice(members: list[RosterMember], _: GroupCoordinator) -> list[RosterMember]:
    return [replace(members[0], index=3) if one.index == 3 else one for one in members]


def _third_with(**changed: Callable[[list[RosterMember]], str]) -> Lie:
    """Member 3 with other keys, well signed."""

    def change(members: list[RosterMember], coordinator: GroupCoordinator) -> list[RosterMember]:
        other = members[2]
        keys = {"mask_key": other.keys.mask_key, "seal_key": other.keys.seal_key}
        keys |= {name: key(members) for name, key in changed.items()}
        forged = signed(3, coordinator.work(), other.assignment_id, **keys)
        return [replace(one, keys=forged) if one.index == 3 else one for one in members]

    return _roster(change)


def _my_former_keys(members: list[RosterMember], coordinator: GroupCoordinator) -> list[RosterMember]:
    """What this device signed for a session before this one, of the same assignment."""
    former = strict.from_json(SecureKeys, coordinator.sent("secure/keys")[0])
    return [replace(one, keys=former) if one.index == ME else one for one in members]


def _trained(**values: Any) -> Lie:
    """One member was given another model, task or round than this device."""

    def change(members: list[RosterMember], coordinator: GroupCoordinator) -> list[RosterMember]:
        other = members[2]
        work = replace(coordinator.work(), **values)
        keys = signed(3, work, other.assignment_id, other.keys.mask_key, other.keys.seal_key)
        return [replace(one, keys=keys) if one.index == 3 else one for one in members]

    return _roster(change)


ROSTERS: dict[str, tuple[Lie, str]] = {
    "this device is left out": (_roster(_stranger_for_me), "leaves this device out"),
    "its keys are changed": (_roster(_other_keys_of_me), "member 2 has not signed its keys"),
    "a forged signature": (_roster(_signed_by_another), "member 3 has not signed its keys"),
    "one device twice": (_roster(_twice), "one identity key twice"),
    "a mask key twice": (_third_with(mask_key=lambda members: members[0].keys.mask_key), "one key twice"),
    "a seal key twice": (_third_with(seal_key=lambda members: members[0].keys.seal_key), "one key twice"),
    "a mask key that is a seal key": (_third_with(mask_key=lambda members: members[0].keys.seal_key), "one key twice"),
    "a key that tells its secrets": (_third_with(mask_key=lambda _: "00" * 32), "gives away every secret"),
    "a seal key that tells its secrets": (_third_with(seal_key=lambda _: "00" * 32), "gives away every secret"),
    "another checkpoint": (_trained(checkpoint_sha256="ab" * 32), "member 3 has not signed"),
    "another task": (_trained(task_sha256="ab" * 32), "member 3 has not signed"),
    "another program": (_trained(manifest_sha256="ab" * 32), "member 3 has not signed"),
    "another round": (_trained(round=2), "member 3 has not signed"),
    "another clipping norm": (_trained(clip_millionths=32_000_000), "member 3 has not signed"),
    "a small group": (_roster(lambda members, _: members[:5], threshold=5), "5 members, fewer than the task's 6"),
    "a low threshold": (_roster(lambda members, _: members, threshold=4), "4 of 6 members would be enough"),
    "a threshold that nobody reaches": (_roster(lambda members, _: members, threshold=7), "7 of 6 members"),
    "a gap in the numbers": (_at(6, index=7), "aren't numbered from 1 on"),
    "an assignment twice": (_at(3, assignment_id="a-1-0"), "one assignment twice"),
}


FORMER_KEYS: Lie = _roster(_my_former_keys)


def _certified(vouched: Callable[[RosterMember], Certificate | None]) -> Lie:
    return _roster(
        lambda members, _: [one if one.index == ME else replace(one, certificate=vouched(one)) for one in members]
    )


# Members that the coordinator made itself: it can sign whatever it likes, but for the fleet.
CERTIFICATES: dict[str, tuple[Lie, str]] = {
    "none": (_certified(lambda _: None), "not of this device's fleet"),
    "of a fleet of its own": (_certified(lambda one: certificate("6c" * 32, one.identity_key)), "not of this device's"),
    "another device's": (_certified(lambda one: certificate(FLEET_KEY, signing.public_key("6d" * 32))), "match"),
    "for another population": (_certified(lambda one: certificate(FLEET_KEY, one.identity_key, "others")), "match"),
}


def _inbox(change: Callable[[Any], Any], **values: Any) -> Lie:
    def lie(step: SecureStep, _: GroupCoordinator) -> SecureStep:
        if step.inbox is None:
            return step
        return replace(step, inbox=replace(step.inbox, sealed=tuple(change(step.inbox.sealed)), **values))

    return lie


INBOXES: dict[str, tuple[Lie, str]] = {
    "a stranger's box": (_inbox(lambda boxes: (*boxes, replace(boxes[0], index=9))), "names a stranger"),
    "a box from itself": (_inbox(lambda boxes: (boxes[0], replace(boxes[0], index=ME), *boxes[1:])), "to itself"),
    "too few boxes": (_inbox(lambda boxes: boxes[:3]), "only 4 members have shared"),
    "another session's": (_inbox(lambda boxes: boxes, session="00" * 32), "another session"),
}


def _survivors(change: Callable[[Any], Any], **values: Any) -> Lie:
    def lie(step: SecureStep, _: GroupCoordinator) -> SecureStep:
        if step.survivors is None:
            return step
        return replace(step, survivors=replace(step.survivors, proofs=tuple(change(step.survivors.proofs)), **values))

    return lie


SURVIVORS: dict[str, tuple[Lie, str]] = {
    "without this device": (_survivors(lambda proofs: [one for one in proofs if one.index != ME]), "leave this device"),
    "too few survivors": (_survivors(lambda proofs: proofs[:4]), "only 4 members survive"),
    "a stranger survives": (_survivors(lambda proofs: (*proofs, replace(proofs[0], index=9))), "names a stranger"),
    "masked for others": (
        _survivors(lambda proofs: (replace(proofs[0], senders_sha256="00" * 32), *proofs[1:])),
        "masked for other senders",
    ),
    "another session's": (_survivors(lambda proofs: proofs, session="00" * 32), "another session"),
    "a proof of another session": (
        _survivors(lambda proofs: (replace(proofs[0], session="00" * 32), *proofs[1:])),
        "another session",
    ),
    "a forged proof": (_survivors(lambda proofs: (replace(proofs[0], words_sha256="00" * 32), *proofs[1:])), "match"),
}


# Where member 6 never shared.
NO_SENDER: Lie = _survivors(lambda proofs: (*proofs, replace(proofs[0], index=6)))


def _agreements(change: Callable[[Any], Any], **values: Any) -> Lie:
    def lie(step: SecureStep, _: GroupCoordinator) -> SecureStep:
        if step.agreements is None:
            return step
        changed = replace(step.agreements, agreements=tuple(change(step.agreements.agreements)), **values)
        return replace(step, agreements=changed)

    return lie


AGREEMENTS: dict[str, tuple[Lie, str]] = {
    "too few agree": (_agreements(lambda signed: signed[:4]), "only 4 members agree"),
    "others signed another list": (
        _agreements(lambda signed: [replace(one, signature=signed[0].signature) for one in signed]),
        "only 1 members agree",
    ),
    "another session's": (_agreements(lambda signed: signed, session="00" * 32), "another session"),
}


def _instead_of(kind: str, told: SecureStep) -> Lie:
    return lambda step, _: told if step.step == kind else step


SESSION = "00" * 32
# By how many kinds of messages the device has sent before.
OUT_OF_ORDER: dict[str, tuple[Lie, str, int]] = {
    "no roster": (_instead_of("share", SecureStep("mask", inbox=Inbox(SESSION, ()))), "before the roster", 1),
    "no inbox": (_instead_of("mask", SecureStep("agree", survivors=Survivors(SESSION, ()))), "before the inbox", 2),
    "no survivors": (
        _instead_of("agree", SecureStep("reveal", agreements=Agreements(SESSION, ()))),
        "before the survivors",
        3,
    ),
}

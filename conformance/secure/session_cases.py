"""A whole session of ten, message by message: one never shares, one vanishes before it uploads. And what a member
refuses on its way: the same messages with one thing wrong at a time.

>>> document = build()
>>> len(document["members"]), document["survivors"], len(document["refusals"]) > 20
(10, [1, 2, 4, 5, 7, 8, 9, 10], True)
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import Any

from fedrela.conformance.secure import primitive_cases, sessions
from fedrela.core import signing, strict
from fedrela.core.errors import FedRelaError
from fedrela.core.secure import ciphers, statements
from fedrela.core.secure import member as members
from fedrela.core.secure.member import Member
from fedrela.core.secure.messages import Agreements, Inbox, MaskedProof, Roster, RosterMember, Survivors

COUNT, ME = 10, 2
LOST = {3: "sharing", 6: "masking"}
STEPS = ("share", "mask", "agree", "reveal")
Message = Roster | Inbox | Survivors | Agreements


def build() -> dict[str, Any]:
    """The document secure/session.json."""
    vectors = sessions.vectors_of(COUNT)
    session = sessions.until(sessions.begin(COUNT), "summing", vectors, LOST)
    group = session.group
    return {
        "work": asdict(sessions.WORK),
        "session": group.session,
        "roster": _json(group.roster),
        "members": [
            {
                "index": index,
                "assignment_id": member.terms.assignment_id,
                "population": member.terms.population,
                "identity_private_key": sessions.identity(index),
                "secrets": {name: value.hex() for name, value in vars(member.secrets).items()},
                "vector": vectors[index - 1].tolist(),
                "shares": _json(group.shares.get(index)),
                "inbox": _json(member.inbox),
                "masked": session.words[index].tolist() if index in session.words else None,
                "proof": _json(group.proofs.get(index)),
                "agreement": _json(group.agreements.get(index)),
                "reveal": _json(group.reveals.get(index)),
            }
            for index, member in session.members.items()
        ],
        "told_survivors": _json(session.members[ME].survivors),
        "told_agreements": _json(session.members[ME].agreements),
        "survivors": list(group.survivors),
        "sum": session.total().tolist(),
        "member": ME,
        "refusals": [_refusal(session.members[ME], *case) for case in _lies(session.members[ME])],
    }


def _refusal(me: Member, name: str, step: str, message: Message) -> dict[str, Any]:
    """A message that member `ME` refuses where it has taken the true ones of all former steps."""
    history = ("roster", "inbox", "survivors")[: STEPS.index(step)]
    state = replace(sessions.offered(ME), **{known: getattr(me, known) for known in history})
    key, vector = sessions.identity(ME), sessions.vectors_of(COUNT)[ME - 1]
    try:
        if isinstance(message, Roster):
            members.share(state, message)
        elif isinstance(message, Inbox):
            members.mask(state, message, vector, key)
        elif isinstance(message, Survivors):
            members.agree(state, message, key)
        else:
            members.reveal(state, message)
    except FedRelaError:
        return {"name": name, "step": step, "message": _json(message)}
    raise AssertionError(f"{name} was taken")


def _lies(me: Member) -> Iterator[tuple[str, str, Message]]:
    assert me.roster
    assert me.inbox
    assert me.survivors
    assert me.agreements
    yield from ((name, "share", roster) for name, roster in _rosters(me.roster))
    boxes, inbox = me.inbox.sealed, me.inbox
    yield "another session's inbox", "mask", replace(inbox, session="00" * 32)
    yield "a box from itself", "mask", replace(inbox, sealed=(boxes[0], replace(boxes[0], index=ME), *boxes[1:]))
    yield "a box from a stranger", "mask", replace(inbox, sealed=(*boxes, replace(boxes[0], index=COUNT + 1)))
    yield "too few have shared", "mask", replace(inbox, sealed=boxes[:5])
    yield from ((name, "agree", replace(me.survivors, proofs=proofs)) for name, proofs in _proofs(me.survivors))
    yield "another session's survivors", "agree", replace(me.survivors, session="00" * 32)
    signed = me.agreements.agreements
    forged = tuple(replace(one, signature=signed[2].signature) for one in signed[:2])
    yield "another session's agreements", "reveal", replace(me.agreements, session="00" * 32)
    yield "too few agree", "reveal", replace(me.agreements, agreements=signed[:6])
    yield "two agreements are forged", "reveal", replace(me.agreements, agreements=(*forged, *signed[2:]))


def _rosters(good: Roster) -> Iterator[tuple[str, Roster]]:
    _, me, third, fourth, *_ = good.members
    yield "own keys changed", _with(good, _anew(me, mask_key=ciphers.public_key(b"Z" * 32).hex()))
    yield "left out", Roster(7, tuple(_renumbered(one for one in good.members if one.index != ME)))
    yield "a forged signature", _with(good, replace(third, keys=replace(third.keys, signature="00" * 64)))
    yield "one identity twice", _with(good, replace(third, identity_key=fourth.identity_key))
    yield "one assignment twice", _with(good, replace(third, assignment_id=fourth.assignment_id))
    yield "one mask key twice", _with(good, _anew(third, mask_key=fourth.keys.mask_key))
    for number, disguise in enumerate(primitive_cases.disguises(bytes.fromhex(fourth.keys.mask_key)), start=1):
        yield f"one mask key twice, in disguise {number}", _with(good, _anew(third, mask_key=disguise.hex()))
    yield "one seal key twice", _with(good, _anew(third, seal_key=fourth.keys.seal_key))
    yield "a seal key of small order", _with(good, _anew(third, seal_key="01" + "00" * 31))
    yield "a mask key of small order", _with(good, _anew(third, mask_key="01" + "00" * 31))
    yield "a threshold too low", replace(good, threshold=6)
    yield "a threshold above the group", replace(good, threshold=11)
    yield "fewer members than the task's smallest group", Roster(3, good.members[:4])
    yield "numbered from 2 on", replace(good, members=tuple(replace(one, index=one.index + 1) for one in good.members))
    for name in ("task_sha256", "manifest_sha256", "checkpoint_sha256"):
        yield f"another {name} of one member", _with(good, _of_other_work(third, **{name: "ee" * 32}))
    yield "another round of one member", _with(good, _of_other_work(third, round=4))
    yield "another clipping norm of one member", _with(good, _of_other_work(third, clip_millionths=64_000_000))


def _proofs(good: Survivors) -> Iterator[tuple[str, tuple[MaskedProof, ...]]]:
    proofs = good.proofs
    first, me, *rest = proofs
    yield "survivors leave the device out", (first, *rest)
    yield "too few survive", proofs[:6]
    yield "one survived that never shared", (first, me, replace(first, index=3), *rest)
    yield "a stranger survived", (*proofs, replace(first, index=COUNT + 1))
    yield "one masked for other senders", (replace(first, senders_sha256="00" * 32), me, *rest)
    yield "a forged proof", (replace(first, words_sha256="00" * 32), me, *rest)
    yield "a proof of another session", (replace(first, session="00" * 32), me, *rest)


def _with(roster: Roster, changed: RosterMember) -> Roster:
    return replace(roster, members=tuple(changed if one.index == changed.index else one for one in roster.members))


def _anew(one: RosterMember, **keys: str) -> RosterMember:
    """With other keys, well signed."""
    changed = replace(one.keys, **keys)
    message = statements.keys(sessions.WORK, one.assignment_id, changed.mask_key, changed.seal_key)
    return replace(one, keys=replace(changed, signature=signing.sign(sessions.identity(one.index), message)))


def _of_other_work(one: RosterMember, **other: Any) -> RosterMember:
    """As the member would be that was given something else."""
    return replace(one, keys=sessions.offered(one.index, work=replace(sessions.WORK, **other)).keys)


def _renumbered(rest: Iterator[RosterMember]) -> Iterator[RosterMember]:
    return (replace(one, index=index) for index, one in enumerate(rest, 1))


def _json(value: Any) -> Any:
    return None if value is None else json.loads(strict.to_json(value))

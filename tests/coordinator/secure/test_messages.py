"""What members send: twice is once, another is refused, and so is what is forged, another's or out of turn."""

from dataclasses import replace

import pytest

from fedrela.core import signing
from fedrela.core.privacy import Privacy
from fedrela.core.secure import fleet as fleets
from fedrela.core.secure import masked_body, member, secure_tasks
from fedrela.core.secure.messages import SecureAgreement, SecureKeys, SecureReveal
from fedrela.core.task import Rounds
from tests.coordinator import fleet
from tests.coordinator.api.test_bad_input import check_problem
from tests.coordinator.conftest import House
from tests.coordinator.secure.players import Player, at_work, begin, check_mean, play, private_blobs, secure_task


def repeat(player: Player) -> list[int]:
    """The statuses of all that a player has sent, sent once more."""
    http, auth = player.device.http, player.device.auth
    return [http.put(player.path(what), content=content, auth=auth).status_code for what, content in player.sent]


def test_all_that_is_sent_twice_counts_once_whenever_it_comes(any_house: House) -> None:
    task_id, players = begin(any_house)

    def again(step: str) -> None:
        for player in players:
            assert set(repeat(player)) <= {204}
            if player.body:
                receipt = player.device.upload(player.assignment, player.body)
                assert receipt.status_code == 200
                assert receipt.json()["duplicate"] is True

    play(players, between=again)
    check_mean(any_house.operator, task_id, players)
    again("after the end")


def test_another_message_of_the_same_kind_is_a_conflict_and_changes_nothing(house: House) -> None:
    task_id, players = begin(house)
    one = players[0]

    def other(step: str) -> None:
        if not one.sent or one.member is None or house.operator.task(task_id)["round"] > 1:
            return
        identity = one.device.private_key
        unlike = replace(one, attempt=77, sent=[], member=None)
        keys = member.offer(one.terms, unlike.secrets(), identity)
        check_problem(unlike.put("keys", keys.keys), 409, "conflict")
        if step in ("share", "mask") and one.member.roster is not None and len(one.sent) > 1:
            _, shares = member.share(one.member, one.member.roster)
            check_problem(unlike.put("shares", replace(shares, commitment="00" * 32)), 409, "conflict")
        if one.body:
            check_problem(one.device.upload(one.assignment, one.body[:-1] + b"\x7f"), 409, "conflict")

    play(players, between=other)
    check_mean(house.operator, task_id, players)


def test_keys_that_others_would_refuse_are_refused_at_once(house: House) -> None:
    _, players = begin(house)
    one, two = players[:2]
    good = member.offer(one.terms, one.secrets(), one.device.private_key).keys
    forged = replace(good, signature="00" * 64)
    check_problem(one.put("keys", forged), 409, "integrity")
    of_another = member.offer(two.terms, one.secrets(), two.device.private_key).keys
    check_problem(one.put("keys", of_another), 409, "integrity")
    small = replace(good, mask_key="00" * 32)
    check_problem(one.put("keys", small), 409, "integrity")
    work = replace(one.terms.work, checkpoint_sha256="00" * 32)
    other_work = member.offer(replace(one.terms, work=work), one.secrets(), one.device.private_key).keys
    check_problem(one.put("keys", other_work), 409, "integrity")
    one.send_keys()
    copied = member.offer(two.terms, one.secrets(), two.device.private_key).keys
    check_problem(two.put("keys", copied), 409, "conflict")  # X25519 keys of somebody else
    assert isinstance(good, SecureKeys)


def test_one_identity_is_one_member(house: House) -> None:
    """Two links give one key two names; two of it in a roster would make everybody refuse it."""
    _, players = begin(house, 4)
    one = players[0]
    twin = fleet.enroll(house.http, house.operator.link(1), private_key=one.device.private_key)
    (double,) = at_work([twin], house.operator, first=9)
    one.send_keys()
    keys = member.offer(double.terms, double.secrets(), twin.private_key).keys
    check_problem(double.put("keys", keys), 409, "conflict")


def test_messages_of_another_time_or_another_s_are_refused(house: House) -> None:
    _, players = begin(house)
    one, two = players[:2]
    agreement = SecureAgreement(1, "00" * 32, "00" * 64)
    check_problem(one.put("agreement", agreement), 409, "out-of-turn")
    assert one.step().step == "again"  # it has not sent its keys
    not_mine = replace(one, device=two.device)
    check_problem(not_mine.put("agreement", agreement), 404, "unknown-assignment")
    answer = two.device.http.get(one.path(""), auth=two.device.auth)
    check_problem(answer, 404, "unknown-assignment")
    play(players, until="mask")
    assert one.member is not None
    roster = one.member.roster
    assert roster is not None
    session = one.step().inbox
    assert session is not None
    index = next(item.index for item in roster.members if item.assignment_id == one.terms.assignment_id)
    check_problem(one.put("reveal", SecureReveal(session.session, ())), 409, "out-of-turn")
    check_problem(one.put("agreement", replace(agreement, index=index, session=session.session)), 409, "out-of-turn")
    check_problem(one.put("agreement", replace(agreement, index=index % 5 + 1)), 400, "invalid-message")


def test_a_forged_proof_or_agreement_is_refused(house: House) -> None:
    _, players = begin(house)
    play(players, until="mask")
    one = players[0]
    inbox = one.step().inbox
    assert inbox is not None
    assert one.member is not None
    _, body, _ = member.mask(one.member, inbox, one.vector(), one.device.private_key)
    words, header = masked_body.from_bytes(bytes(body), secure_tasks.words(one.task, one.manifest))
    for wrong in (replace(header, signature="00" * 64), replace(header, senders_sha256="00" * 32)):
        check_problem(one.device.upload(one.assignment, masked_body.to_bytes(words, wrong)), 409, "integrity")
    check_problem(one.device.upload(one.assignment, masked_body.to_bytes(words + 1, header)), 409, "integrity")
    assert private_blobs(house) == []
    play(players, until="agree")
    survivors = one.step().survivors
    assert survivors is not None
    _, agreement = member.agree(one.member, survivors, players[1].device.private_key)
    check_problem(one.put("agreement", agreement), 409, "integrity")


def test_a_plain_task_has_no_secure_routes_and_a_secure_one_no_plain_evaluation(house: House) -> None:
    plain = house.publish(goal=1)
    (device,) = house.devices(1)
    (player,) = at_work([device], house.operator)
    check_problem(player.device.http.get(player.path(""), auth=device.auth), 409, "not-secure")
    check_problem(player.put("agreement", SecureAgreement(1, "00" * 32, "00" * 64)), 409, "not-secure")
    house.operator.call("POST", f"/tasks/{plain}/cancel")
    _, (secure, *_) = begin(house)
    report = {"loss_sum": 1.0, "correct": 1, "examples": 2}
    path = f"/v1/assignments/{secure.assignment['assignment_id']}/evaluation"
    answer = secure.device.http.post(path, json=report, auth=secure.device.auth)
    check_problem(answer, 403, "evaluation-not-wanted")


def test_certificates_come_to_the_other_members(house: House) -> None:
    fleet_key, token_seed, identity = "01" * 32, "02" * 32, "03" * 32
    endorsed = fleets.endorse(fleet_key, signing.public_key(token_seed), "default")
    certificate = fleets.certify(endorsed, token_seed, signing.public_key(identity), "default")
    token = house.operator.link(1)
    request = fleet.enrollment(token, identity) | {"certificate": vars(certificate)}
    enrolled = house.http.post("/v1/devices", json=request).json()
    certified = fleet.Device(house.http, enrolled["device_id"], enrolled["device_token"], identity)
    _, players = begin(house, 4)
    players += at_work([certified], house.operator, first=5)
    play(players, until="share")
    roster = players[0].step().roster
    assert roster is not None
    of_members = {one.identity_key: one.certificate for one in roster.members}
    assert of_members.pop(signing.public_key(identity)) == certificate
    assert set(of_members.values()) == {None}


def test_what_can_t_be_secure_is_not_published(house: House) -> None:
    task = replace(secure_task(), round=Rounds(goal=13), privacy=Privacy("peers"))
    with pytest.raises(AssertionError, match="at least 14"):
        house.operator.publish(house.bundle, task)

"""Fleets whose updates are hidden in groups: the models of plain rounds, with losses and attackers among them."""

import numpy as np
import pytest

from fedrela.core.privacy import Privacy
from fedrela.core.task import Aggregation
from fedrela.emulator.scenario import Faults, LostBefore, MaliciousClass
from tests.emulator.fleet.test_fleet import kinds
from tests.emulator.small_fleet import logs

PLAIN = {"aggregation": Aggregation(weight_by_examples=False)}
SECURE = PLAIN | {"privacy": Privacy("peers", 6, 5)}
ROUND = {"goal": 6, "minimum": 5, "smallest_cohort": 5}


def test_a_secure_fleet_learns_what_a_plain_one_does_and_does_so_again(emulate):
    run = emulate(task=SECURE, round_=ROUND)
    assert [result["updates"] for result in run.rounds[1:]] == [6] * 4
    plain = emulate(task=PLAIN, round_=ROUND)
    assert abs(run.accuracy["overall"] - plain.accuracy["overall"]) < 0.1
    assert logs(emulate(task=SECURE, round_=ROUND)) == logs(run)


@pytest.mark.parametrize("phase", [pytest.param("share", marks=pytest.mark.deep), "mask"])
def test_devices_that_vanish_in_a_phase_cost_their_update_at_most(emulate, phase):
    run = emulate(task=SECURE, round_=ROUND, faults=Faults(lost_before=LostBefore(**{phase: 0.1})))
    assert run.rounds[-1]["round"] == 4
    assert ("drop-out", "") in kinds(run)


def test_members_that_lie_spoil_no_model(emulate):
    attacks = ("wrong-share", "huge-update", "replay-keys")
    run = emulate(task=SECURE, round_=ROUND, malicious=tuple(MaliciousClass(attack, 0.12) for attack in attacks))
    assert run.rounds[-1]["round"] == 4
    assert np.isfinite(run.summary["loss"])

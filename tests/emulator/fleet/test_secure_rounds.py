"""Fleets whose updates are hidden in groups: the models of plain rounds, with losses and attackers among them."""

import numpy as np

from fedrela.core.privacy import Privacy
from fedrela.core.task import Aggregation, Relabel
from fedrela.emulator.scenario import Faults, LostBefore, MaliciousClass
from tests.emulator.fleet.test_fleet import kinds
from tests.emulator.small_fleet import logs

PLAIN = {"rounds": 2, "relabel": Relabel(enabled=False), "aggregation": Aggregation(weight_by_examples=False)}
SECURE = PLAIN | {"privacy": Privacy("peers", 6, 5)}
ROUND = {"goal": 6, "minimum": 5, "smallest_cohort": 5}


def test_a_secure_fleet_learns_what_a_plain_one_does_whatever_its_workers(emulate):
    run = emulate(task=SECURE, round_=ROUND)
    assert [result["updates"] for result in run.rounds[1:]] == [6] * 2
    plain = emulate(task=PLAIN, round_=ROUND)
    assert abs(run.accuracy["overall"] - plain.accuracy["overall"]) < 0.1
    in_processes = emulate(task=SECURE, round_=ROUND, workers=2, in_process=False)
    assert in_processes.summary["final_sha256"] == run.summary["final_sha256"]
    assert logs(in_processes) == logs(run)


def test_devices_may_vanish_in_every_phase(emulate):
    run = emulate(
        task=SECURE, round_=ROUND, faults=Faults(lost_before=LostBefore(share=0.08, mask=0.08, reveal=0.08)), devices=14
    )
    assert ("drop-out", "") in kinds(run)
    assert all(result["updates"] >= 5 for result in run.rounds[1:])
    assert np.isfinite(run.summary["loss"])


def test_members_that_lie_are_refused_or_left_out(emulate):
    attacks = ("wrong-share", "huge-update", "replay-keys")
    run = emulate(task=SECURE, round_=ROUND, malicious=tuple(MaliciousClass(attack, 0.12) for attack in attacks))
    assert np.isfinite(run.summary["loss"])
    refused = {code for kind, code in kinds(run) if kind == "dropped"}
    assert refused, kinds(run)

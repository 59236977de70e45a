"""The coordinator's half of the walk, over HTTP and on both databases."""

import numpy as np
import pytest

from fedrela.core import signing, strict
from fedrela.core.protocol import statements
from fedrela.core.task import Aggregation, Relabel, Rounds, Task
from fedrela.core.wire import Assignment
from tests.coordinator import fleet
from tests.coordinator.conftest import House


def test_three_synchronous_rounds_give_the_example_weighted_mean(any_house: House) -> None:
    house = any_house
    task_id = house.publish(3, goal=2)
    one, two, late = house.devices(3)
    for number in (1, 2, 3):
        first, second = one.join(), two.join()
        assert first["round"] == second["round"] == number
        assert late.check_in()["wait"]["reason"] == "round-full"
        assert one.upload(first, fleet.body(fleet.change(1.0), 10)).json() == {
            "duplicate": False,
            "protocol": 1,
            "round": number,
        }
        assert two.upload(second, fleet.body(fleet.change(4.0), 5)).status_code == 200
    shown = house.operator.task(task_id)
    assert (shown["status"], shown["committed_rounds"], shown["round"]) == ("finished", 3, 3)
    weights = house.operator.weights(shown["checkpoint_sha256"])
    assert weights["w"].tolist() == [[6.0, 6.0]] * 3  # 3 rounds of (10 * 1 + 5 * 4) / 15
    assert one.check_in()["wait"]["reason"] == "finished"


def test_an_assignment_is_signed_by_the_pinned_key_and_names_what_was_published(house: House) -> None:
    house.publish(goal=1)
    (device,) = house.devices(1)
    assignment = strict.build(Assignment, device.join(), ValueError)  # type: ignore[arg-type]
    text = statements.assignment(assignment, device.device_id, device.population, fleet.NONCE)
    signing.verify(house.settings.public_key, text, assignment.signature)
    for sha256 in (assignment.task_sha256, assignment.manifest_sha256, assignment.checkpoint_sha256):
        answer = house.http.get(f"/v1/blobs/{sha256}", auth=device.auth)
        assert signing.sha256(answer.content) == sha256
    assert assignment.checkpoint_bytes == len(answer.content)


def test_a_device_that_lost_its_assignment_gets_the_same_one_with_what_is_left_of_its_lease(house: House) -> None:
    house.publish(goal=2, compute_lease_seconds=100)
    (device,) = house.devices(1)
    first = device.join()
    house.clock(30)
    again = device.join()
    assert again.pop("compute_lease_seconds") == 70
    assert first.pop("compute_lease_seconds") == 100
    assert again.pop("signature") != first.pop("signature")  # it covers the lease
    assert again == first


def test_arrival_order_does_not_change_a_bit_of_the_model(house: House) -> None:
    rng = np.random.default_rng(5)
    bodies = [
        fleet.body({name: rng.normal(size=shape).astype(np.float32) for name, shape in fleet.SHAPES.items()}, n)
        for n in range(1, 8)
    ]
    hashes = set()
    for order in (range(7), reversed(range(7)), (3, 1, 5, 0, 6, 2, 4)):
        task_id = house.publish(1, goal=7)
        devices = house.devices(7)
        for device, index in zip(devices, order, strict=True):
            assert device.upload(device.join(), bodies[index]).status_code == 200
        hashes.add(house.operator.task(task_id)["checkpoint_sha256"])
        assert house.operator.task(task_id)["status"] == "finished"
    assert len(hashes) == 1


@pytest.mark.parametrize("optimizer", ["fedavg", "fedavgm", "fedadam", "fedyogi"])
def test_server_optimizers_keep_their_state_from_round_to_round(house: House, optimizer: str) -> None:
    from fedrela.core.aggregation import server_opt

    settings = Aggregation(server_optimizer=optimizer, server_lr=0.5)  # type: ignore[arg-type]
    task_id = house.operator.publish(
        house.bundle,
        Task("opt", 3, round=Rounds(goal=1, smallest_cohort=1), relabel=Relabel(enabled=False), aggregation=settings),
    )
    (device,) = house.devices(1)
    expected = fleet.change(0.0)
    reference = server_opt.make(settings)
    state = reference.init(expected)
    for value in (1.0, -2.0, 0.5):
        assert device.upload(device.join(), fleet.body(fleet.change(value))).status_code == 200
        expected, state = reference.step(expected, fleet.change(value), state)
    weights = house.operator.weights(house.operator.task(task_id)["checkpoint_sha256"])
    assert all(np.array_equal(weights[name], expected[name]) for name in expected)


@pytest.mark.parametrize("encoding", ["float32", "float16", "int8", "top-k"])
def test_every_encoding_is_decoded_and_another_one_refused(house: House, encoding: str) -> None:
    settings = Aggregation(encoding=encoding, top_k_fraction=1.0)  # type: ignore[arg-type]
    task = Task("enc", 1, round=Rounds(goal=1, smallest_cohort=1), relabel=Relabel(enabled=False), aggregation=settings)
    task_id = house.operator.publish(house.bundle, task)
    (device,) = house.devices(1)
    assignment = device.join()
    other = "int8" if encoding != "int8" else "float32"
    refused = device.upload(assignment, fleet.body(fleet.change(1.0), encoding=other))
    assert (refused.status_code, refused.json()["code"]) == (400, "invalid-tensors")
    assert "encoded as" in refused.json()["detail"]
    assert device.upload(assignment, fleet.body(fleet.change(127.0), encoding=encoding)).status_code == 200
    weights = house.operator.weights(house.operator.task(task_id)["checkpoint_sha256"])
    np.testing.assert_allclose(weights["w"], 127.0, rtol=1e-5)


@pytest.mark.parametrize(
    ("rule", "expected"), [("mean", 254.5), ("median", 6.0), ("trimmed-mean", 6.0), ("multi-krum", 6.0)]
)
def test_one_malicious_device_in_four_moves_the_mean_and_not_the_robust_rules(
    house: House, rule: str, expected: float
) -> None:
    settings = Aggregation(
        rule=rule,  # type: ignore[arg-type]
        trim_fraction=0.25,
        byzantine_fraction=0.25,
    )
    task = Task(
        "robust", 1, round=Rounds(goal=4, smallest_cohort=4), relabel=Relabel(enabled=False), aggregation=settings
    )
    task_id = house.operator.publish(house.bundle, task)
    for device, value in zip(house.devices(4), (6.0, 6.0, 6.0, 1000.0), strict=True):
        assert device.upload(device.join(), fleet.body(fleet.change(value))).status_code == 200
    weights = house.operator.weights(house.operator.task(task_id)["checkpoint_sha256"])
    np.testing.assert_allclose(weights["b"], expected)


def test_clipping_and_the_cap_on_claimed_examples_bound_a_liar(house: House) -> None:
    settings = Aggregation(clip_norm=1.0, max_examples=10)
    task = Task(
        "clip", 1, round=Rounds(goal=2, smallest_cohort=2), relabel=Relabel(enabled=False), aggregation=settings
    )
    task_id = house.operator.publish(house.bundle, task)
    for device, (value, examples) in zip(house.devices(2), ((0.0, 10), (1e6, 999_999_999)), strict=True):
        assert device.upload(device.join(), fleet.body(fleet.change(value), examples)).status_code == 200
    weights = house.operator.weights(house.operator.task(task_id)["checkpoint_sha256"])
    np.testing.assert_allclose(weights["b"], 0.5 / np.sqrt(8), rtol=1e-5)  # half of a vector of norm 1 over 8 elements


def test_history_counts_updates_failures_and_bytes(house: House) -> None:
    task_id = house.publish(2, goal=2, compute_lease_seconds=50)
    one, two, three = house.devices(3)
    first = one.join()
    assert two.fail(two.join(), "not-eligible").status_code == 204
    three.join()
    house.clock(60)  # the lease of the first and third is over
    again = one.join()
    assert again["assignment_id"] != first["assignment_id"]
    body = fleet.body(fleet.change(1.0))
    assert one.upload(again, body).status_code == 200
    assert three.upload(three.join(), body).status_code == 200
    record, opened = house.operator.rounds(task_id)
    assert record["failures"] == {"compute-lease-expired": 2, "not-eligible": 1}
    assert (record["updates"], record["assignments"], record["update_bytes"]) == (2, 5, 2 * len(body))
    assert (record["committed_at"], opened["phase"]) == (60.0, "collecting")
    table = house.http.get(f"/v1/admin/tasks/{task_id}/rounds?format=csv", headers=house.operator.headers)
    assert table.headers["content-type"].startswith("text/csv")
    lines = table.text.splitlines()
    assert lines[0].startswith("round,phase,")
    assert "compute-lease-expired=2 not-eligible=1" in lines[1]


def test_metrics_count_and_name_no_device(house: House) -> None:
    house.publish(1, goal=1)
    device, other = house.devices(2)
    other.fail(other.join())
    assignment = device.join()
    assert device.upload(assignment, b"no tensors").status_code == 400
    device.upload(assignment, fleet.body(fleet.change(1.0)))
    device.check_in()
    page = house.http.get("/metrics", headers=house.operator.headers).text
    for sample in (
        'fedrela_check_ins_total{answer="assignment"}',
        'fedrela_check_ins_total{answer="finished"}',
        "fedrela_updates_accepted_total",
        'fedrela_updates_refused_total{code="invalid-tensors"}',
        'fedrela_assignment_failures_total{code="training-failed"}',
        'fedrela_task_phase{phase="finished",',
        'fedrela_request_seconds_bucket{le="0.1",route="/v1/check-ins"}',
        "fedrela_update_bytes_total",
        "fedrela_blob_bytes_total",
        "fedrela_aggregation_seconds_count",
    ):
        assert sample in page, sample
    assert device.device_id not in page
    assert page.count("fedrela_task_phase{") == 1  # and no phase that is over
    assert device.token not in page
    assert house.http.get("/metrics").status_code == 401


def test_evaluation_totals_are_summed_only_where_the_task_asks(house: House) -> None:
    applicant = Task(
        "ask", 1, round=Rounds(goal=2, smallest_cohort=2), relabel=Relabel(enabled=False), local_evaluation=True
    )
    task_id = house.operator.publish(house.bundle, applicant)
    one, two = house.devices(2)
    for device, correct in ((one, 8), (two, 4)):
        assignment = device.join()
        path = f"/v1/assignments/{assignment['assignment_id']}/evaluation"
        for _ in range(2):  # the second time is no fault and counts nothing
            report = {"loss_sum": 5.0, "correct": correct, "examples": 10}
            assert house.http.post(path, json=report, auth=device.auth).status_code == 204
        impossible = {"loss_sum": 5.0, "correct": 11, "examples": 10}
        assert house.http.post(path, json=impossible, auth=device.auth).status_code == 400
    assert house.operator.rounds(task_id)[0]["evaluation"] == {"loss": 0.5, "accuracy": 0.6, "examples": 20}


def test_evaluation_is_refused_where_the_task_does_not_ask(house: House) -> None:
    house.publish(goal=1)
    (device,) = house.devices(1)
    path = f"/v1/assignments/{device.join()['assignment_id']}/evaluation"
    answer = house.http.post(path, json={"loss_sum": 1.0, "correct": 1, "examples": 2}, auth=device.auth)
    assert (answer.status_code, answer.json()["code"]) == (403, "evaluation-not-wanted")

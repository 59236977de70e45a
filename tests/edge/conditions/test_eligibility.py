"""Rules against conditions, sensors against a laid-out /sys, and training that pauses and goes on."""

from pathlib import Path

import pytest

from fedrela.core.bundle import Bundle
from fedrela.core.task import Eligibility, LocalTraining, Relabel, Rounds
from fedrela.edge.conditions.eligibility import Conditions, reasons
from fedrela.edge.conditions.sensors import Sensors
from fedrela.edge.owner.settings import DeviceSettings, Event
from fedrela.edge.storage import sent_log
from tests.edge.conftest import some_examples
from tests.edge.live import LiveCoordinator, device, small_task


@pytest.mark.parametrize(
    ("conditions", "rule", "count"),
    [
        (Conditions(), Eligibility(min_battery_percent=50, max_cpu_celsius=70, hours="22:00-06:00"), 0),
        (Conditions(on_mains=False, battery_percent=49), Eligibility(min_battery_percent=50), 1),
        (Conditions(on_mains=False, battery_percent=50), Eligibility(min_battery_percent=50), 0),
        (Conditions(on_mains=True, battery_percent=3), Eligibility(min_battery_percent=50), 0),
        (Conditions(metered=True), Eligibility(require_unmetered_network=True), 1),
        (Conditions(metered=True), Eligibility(), 0),
        (Conditions(cpu_celsius=71), Eligibility(max_cpu_celsius=70), 1),
        (Conditions(throttled=True), Eligibility(refuse_when_throttled=True), 1),
        (Conditions(load_per_core=1.5), Eligibility(max_load_per_core=1.4), 1),
        (Conditions(free_disk_bytes=9, free_memory_bytes=9), Eligibility(min_free_disk_bytes=10), 1),
        (Conditions(free_disk_bytes=9, free_memory_bytes=9), Eligibility(min_free_memory_bytes=10), 1),
        (Conditions(minute_of_day=23 * 60), Eligibility(hours="22:00-06:00"), 0),
        (Conditions(minute_of_day=5 * 60 + 59), Eligibility(hours="22:00-06:00"), 0),
        (Conditions(minute_of_day=6 * 60), Eligibility(hours="22:00-06:00"), 1),
        (Conditions(minute_of_day=12 * 60), Eligibility(hours="11:00-12:00"), 1),
        (Conditions(cpu_celsius=90, throttled=True), Eligibility(max_cpu_celsius=70, refuse_when_throttled=True), 2),
    ],
)
def test_rules(conditions: Conditions, rule: Eligibility, count: int) -> None:
    assert len(reasons(conditions, rule)) == count


def lay_out(root: Path, files: dict[str, str]) -> Sensors:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text + "\n")
    return Sensors(root, system=root)


def test_a_laptop_on_battery(tmp_path: Path) -> None:
    sensors = lay_out(
        tmp_path,
        {
            "sys/class/power_supply/AC/type": "Mains",
            "sys/class/power_supply/AC/online": "0",
            "sys/class/power_supply/BAT0/type": "Battery",
            "sys/class/power_supply/BAT0/capacity": "41",
            "sys/class/power_supply/BAT0/status": "Discharging",
            "sys/class/power_supply/mouse/type": "Battery",
            "sys/class/power_supply/mouse/scope": "Device",
            "sys/class/power_supply/mouse/capacity": "3",
        },
    )
    assert sensors.power() == (False, 41.0)


def test_a_raspberry_pi(tmp_path: Path) -> None:
    sensors = lay_out(
        tmp_path,
        {
            "sys/class/thermal/thermal_zone0/type": "cpu-thermal",
            "sys/class/thermal/thermal_zone0/temp": "63201",
            "sys/class/thermal/thermal_zone1/type": "battery",
            "sys/class/thermal/thermal_zone1/temp": "99000",
            "sys/devices/platform/soc/soc:firmware/get_throttled": "50005",
            "proc/net/route": "Iface\tDestination\tGateway\nwlan0\t00000000\t0102A8C0\nwlan0\t0002A8C0\t00000000",
        },
    )
    assert sensors.power() == (None, None)
    assert sensors.temperature() == pytest.approx(63.201)
    assert sensors.throttled() is True
    assert sensors.default_interface() == "wlan0"


def program(folder: Path, name: str, script: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


@pytest.mark.parametrize(
    ("script", "throttled"),
    [
        ("echo throttled=0x0", False),
        ("echo throttled=0x50000", False),  # has been, since it started, and is not now
        ("echo throttled=0x50005", True),
        ("echo throttled=0x8", True),
        ("echo VCHI initialization failed", None),
        ("echo throttled=0x5; exit 1", None),
    ],
)
def test_a_raspberry_pi_is_asked_by_vcgencmd(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, throttled: bool | None
) -> None:
    program(tmp_path, "vcgencmd", f'[ "$1" = get_throttled ] || exit 2\n{script}')
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert Sensors(tmp_path, system=tmp_path).throttled() is throttled


@pytest.mark.parametrize(
    ("metered_line", "interface", "metered"),
    [("yes", "wlan0", True), ("no (guessed)", "usb0", False), ("unknown", "wwan0", True), ("unknown", "eth0", False)],
)
def test_the_network_is_metered_as_network_manager_says_or_by_its_kind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, metered_line: str, interface: str, metered: bool
) -> None:
    route = f"Iface\tDestination\tGateway\n{interface}\t00000000\t0102A8C0"
    sensors = lay_out(tmp_path, {"proc/net/route": route})
    program(tmp_path, "nmcli", f'[ "$5" = {interface} ] && echo "{metered_line}"')
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert sensors.read().metered is metered
    assert Sensors(tmp_path, system=tmp_path, metered=not metered).read().metered is not metered  # the owner's word


def test_a_device_without_sensors_reads_none(tmp_path: Path) -> None:
    read = Sensors(tmp_path, system=tmp_path, metered=None).read()
    assert (read.on_mains, read.battery_percent, read.metered, read.cpu_celsius) == (None, None, None, None)
    assert read.free_disk_bytes is not None
    assert read.free_memory_bytes is not None


ONE = {
    "round": Rounds(goal=1, smallest_cohort=1),
    "relabel": Relabel(enabled=False),
    "local": LocalTraining(epochs=2, batch_size=5),
}


def test_training_pauses_at_a_batch_boundary_and_goes_on(live: LiveCoordinator, small_bundle: Bundle) -> None:
    heat = iter([20.0, 20.0, 20.0, 80.0, 80.0, 20.0])
    reading = [20.0]

    def conditions() -> Conditions:
        reading[0] = next(heat, 20.0)
        return Conditions(cpu_celsius=reading[0])

    seen: list[Event] = []
    live.publish(small_bundle, small_task(eligibility=Eligibility(max_cpu_celsius=70), **ONE))
    client = device(
        live, 1, some_examples(), settings=DeviceSettings(check_seconds=0, pause_seconds=0.01), on_event=seen.append,
        conditions=conditions,
    )  # fmt: skip
    assert client.run_once().kind == "uploaded"
    kinds = [event.kind for event in seen]
    paused = kinds.index("paused")
    assert kinds[paused - 1] == "step"
    assert kinds[paused + 1] == "resumed"
    assert kinds.count("paused") == 1
    assert kinds.count("step") == 10
    assert "80 °C" in seen[paused].detail


def test_a_pause_that_outlasts_the_lease_gives_the_slot_back(live: LiveCoordinator, small_bundle: Bundle) -> None:
    task = small_task(eligibility=Eligibility(max_cpu_celsius=70), **ONE)
    task_id = live.publish(small_bundle, task)
    clock = [1000.0]

    def sleep(seconds: float) -> None:
        clock[0] += seconds

    client = device(
        live, 1, some_examples(), conditions=lambda: Conditions(cpu_celsius=90), now=lambda: clock[0], sleep=sleep
    )
    outcome = client.run_once()
    assert (outcome.kind, outcome.reason) == ("dropped", "not-eligible")
    assert clock[0] - 1000 > task.round.compute_lease_seconds
    assert live.rounds(task_id)[-1]["failures"] == {"not-eligible": 1}


def test_the_owners_conditions_hold_before_a_check_in(live: LiveCoordinator, small_bundle: Bundle) -> None:
    live.publish(small_bundle, small_task(**ONE))
    settings = DeviceSettings(eligibility=Eligibility(min_battery_percent=30))
    client = device(
        live, 1, some_examples(), settings=settings, conditions=lambda: Conditions(on_mains=False, battery_percent=29)
    )
    outcome = client.run_once()
    assert outcome.kind == "waiting"
    assert "the battery is at 29 %" in outcome.reason
    assert [line["path"] for line in sent_log.lines(client.store)] == ["/v1/devices"]  # it enrolled, and asked nothing

"""Data, shards and profiles: exact shares, one owner per sample, the same in every process."""

import numpy as np
import pytest

from fedrela.core.errors import InvalidData, InvalidInput
from fedrela.emulator.data import datasets, shards
from fedrela.emulator.fleet.profiles import DeviceProfiles
from fedrela.emulator.scenario import from_toml


@pytest.fixture(scope="module")
def digits():
    return datasets.load("digits", test_per_class=40, seed=3)


def scenario(extra="", devices=12):
    return from_toml(f'name = "a"\ndevices = {devices}\nseed = 3\n{extra}')


def test_the_digits_test_part_is_balanced_and_disjoint(digits):
    assert np.bincount(digits.y_test).tolist() == [40] * 10
    assert len(digits.y) + len(digits.y_test) == 1797
    assert digits.x.dtype == np.uint8
    assert digits.x.max() == 255


def test_the_pool_is_long_tailed_and_every_sample_has_one_owner(digits):
    dealt = shards.deal(scenario(), digits)
    assert dealt.class_counts[0] == 134
    assert dealt.class_counts[9] == 2  # floor(134 / 50)
    owned = np.concatenate([dealt.indices(device) for device in range(12)])
    assert sorted(owned) == sorted(dealt.pool)


@pytest.mark.parametrize("split", ["iid", "classes", "dirichlet"])
def test_every_split_deals_everything_once(digits, split):
    dealt = shards.deal(scenario(f'[data]\nsplit = "{split}"'), digits)
    owned = np.concatenate([dealt.indices(device) for device in range(12)])
    assert len(owned) == len(set(owned.tolist())) == dealt.class_counts.sum()


@pytest.mark.parametrize("split", ["iid", "classes", "dirichlet"])
def test_drawing_gives_any_number_of_devices_their_number_of_samples(digits, split):
    drawn = shards.deal(scenario(f'[data]\nsplit = "{split}"\nsamples_per_device = 7', devices=5000), digits)
    assert all(len(drawn.indices(device)) == 7 for device in (0, 17, 4999))
    assert drawn.indices(17).tolist() == drawn.indices(17).tolist()
    assert set(drawn.indices(17)) <= set(drawn.pool)


def test_too_many_devices_are_refused(digits):
    with pytest.raises(InvalidInput, match="samples"):
        shards.deal(scenario(devices=5000), digits)


def test_a_dataset_from_a_file_or_a_function(tmp_path):
    x, y = np.zeros((12, 3), np.float32), np.arange(12) % 3
    np.savez(tmp_path / "own.npz", x=x, y=y)
    held_out = datasets.load("own.npz", test_per_class=1, seed=0, folder=tmp_path)
    assert (len(held_out.y), len(held_out.y_test), held_out.classes) == (9, 3, 3)
    np.savez(tmp_path / "whole.npz", x=x, y=y, x_test=x[:2], y_test=y[:2])
    assert len(datasets.load("whole.npz", test_per_class=1, seed=0, folder=tmp_path).y) == 12


@pytest.mark.parametrize(
    ("arrays", "names"),
    [
        ({"x": np.zeros((2, 3))}, "y"),
        ({"x": np.zeros((2, 3)), "y": np.array([0, 1, 1])}, "3 labels"),
        ({"x": np.zeros((2, 3)), "y": np.array([0.5, 1])}, "whole numbers"),
        ({"x": np.zeros((2, 3)), "y": np.array([0, 1])}, "held out"),
    ],
)
def test_faulty_data_are_refused(tmp_path, arrays, names):
    np.savez(tmp_path / "own.npz", **arrays)
    with pytest.raises(InvalidData, match=names):
        datasets.load("own.npz", test_per_class=1, seed=0, folder=tmp_path)


def test_data_shared_between_processes_are_the_same(digits, tmp_path):
    datasets.share(digits, tmp_path)
    again = datasets.shared(tmp_path)
    assert np.array_equal(again.x, digits.x)
    assert np.array_equal(again.y_test, digits.y_test)
    assert again.classes == 10


def test_shares_of_classes_and_attackers_are_exact():
    fleet = scenario(
        '[[device]]\nname = "a"\nshare = 3\n[[device]]\nname = "b"\nshare = 1\n'
        '[[malicious]]\nattack = "nan"\nshare = 0.1\n[[malicious]]\nattack = "scale"\nshare = 0.2',
        devices=100,
    )
    profiles = DeviceProfiles(fleet)
    devices = [profiles.of(index) for index in range(100)]
    assert sum(device.kind.name == "a" for device in devices) == 75
    assert sum(device.malicious is not None and device.malicious.attack == "scale" for device in devices) == 20
    assert len({device.secret for device in devices}) == 100
    assert devices[7] == DeviceProfiles(fleet).of(7)


def test_a_device_is_awake_across_midnight_in_its_own_time_zone():
    fleet = scenario('[[device]]\nname = "a"\nawake = "22:00-06:00"')
    device = DeviceProfiles(fleet).of(0)
    assert device.awake(23.0)
    assert device.awake(29.0)
    assert not device.awake(12.0)
    assert device.hours_until_awake(12.0) == 10.0
    assert device.hours_until_awake(23.5) == 0.0


def test_hours_end_on_their_minute_and_a_device_without_hours_is_always_awake():
    device = DeviceProfiles(scenario('[[device]]\nname = "a"\nawake = "22:00-06:30"')).of(0)
    assert device.awake(6.49)
    assert not device.awake(6.5)
    always = DeviceProfiles(scenario('[[device]]\nname = "a"')).of(0)
    assert always.awake(12.0)
    assert always.hours_until_awake(12.0) == 0.0


def test_faults_occur_at_their_rates():
    profiles = DeviceProfiles(scenario("[faults]\ndrop_out = 0.2\ncrash = 0.1"))
    plans = [profiles.fault_plan(device, number) for device in range(12) for number in range(100)]
    assert 0.15 < sum(plan.drop_out for plan in plans) / 1200 < 0.25
    assert 0.06 < sum(plan.crash_after_share < 1 for plan in plans) / 1200 < 0.14

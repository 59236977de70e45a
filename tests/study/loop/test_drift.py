"""SCAFFOLD by its own equations, on quadratic losses whose gradients are known."""

import numpy as np

from fedrela.study.loop import drift

RATES = {"lr": 0.1, "momentum": 0.0}
# Of two devices, whose loss is |w - center|^2 / 2.
CENTERS = ({"w": np.array([3.0, 0.0], np.float32)}, {"w": np.array([-1.0, 2.0], np.float32)})


def steps(start, controls, device, count=10):
    """A device's round: plain gradient steps, each followed by its correction."""
    w = {name: array.copy() for name, array in start.items()}
    for _ in range(count):
        w = {"w": w["w"] - np.float32(0.1) * (w["w"] - CENTERS[device]["w"])}
        w = drift.correct(w, controls, device, drift.rate(RATES))
    return {"w": w["w"] - start["w"]}


def test_at_the_fleet_s_optimum_corrected_devices_stand_still():
    best = {"w": (CENTERS[0]["w"] + CENTERS[1]["w"]) / 2}
    gradients = tuple({"w": best["w"] - center["w"]} for center in CENTERS)
    controls = drift.Controls({"w": np.zeros(2, np.float32)}, gradients)
    for device in (0, 1):
        np.testing.assert_allclose(steps(best, controls, device)["w"], 0, atol=1e-6)
    assert np.abs(steps(best, drift.zero(best, 2), 0)["w"]).max() > 0.5  # without: it drifts to its own


def test_controls_learn_the_mean_gradient_of_each_device_s_path():
    start = {"w": np.zeros(2, np.float32)}
    controls = drift.zero(start, 2)
    change = steps(start, controls, 0, count=1)
    learned = drift.learned(controls, 0, change, 1, drift.rate(RATES))
    np.testing.assert_allclose(learned["w"], start["w"] - CENTERS[0]["w"], rtol=1e-6)


def test_rounds_of_it_reach_the_fleet_s_optimum():
    w = {"w": np.float32([10.0, -10.0])}
    controls = drift.zero(w, 2)
    for _ in range(60):
        changes = [steps(w, controls, device) for device in (0, 1)]
        learned = [drift.learned(controls, device, changes[device], 10, drift.rate(RATES)) for device in (0, 1)]
        controls = drift.after(controls, learned)
        w = {"w": w["w"] + (changes[0]["w"] + changes[1]["w"]) / 2}
    np.testing.assert_allclose(w["w"], [1.0, 1.0], atol=1e-4)
    np.testing.assert_allclose(
        controls.fleet["w"], (controls.devices[0]["w"] + controls.devices[1]["w"]) / 2, atol=1e-5
    )


def test_with_momentum_a_gradient_counts_for_more_and_what_is_no_parameter_stays():
    assert drift.rate({"lr": 0.1, "momentum": 0.5}) == 0.2
    controls = drift.Controls({"w": np.float32([1.0])}, ({"w": np.float32([3.0])},))
    moved = drift.correct({"w": np.float32([0.0]), "momentum.w": np.float32([7.0])}, controls, 0, 0.2)
    np.testing.assert_allclose(moved["w"], [0.4])
    np.testing.assert_allclose(moved["momentum.w"], [7.0])

"""A small fleet of real clients, on a bundle that can be checked by hand."""

import dataclasses

import numpy as np
import pytest

from fedrela.emulator.scenario import from_toml
from tests.edge import softmax_bundle
from tests.emulator.small_fleet import SCENARIO


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """The bundle, the data and the scenario, as a user would have them in a folder."""
    project = tmp_path_factory.mktemp("project")
    (project / "bundle").mkdir()
    softmax_bundle.write(project / "bundle")
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(3), 60)
    x = rng.integers(0, 120, (180, 1, 4, 4), dtype=np.uint8)
    x[np.arange(180), 0, y, :] += 100
    np.savez(project / "small.npz", x=x, y=y)
    (project / "small.toml").write_text(SCENARIO)
    return project


@pytest.fixture
def emulate(fedrela_fleet, folder):
    """Run the small scenario with changes; a `task` mapping changes its task."""

    def run(*, task=None, round_=None, **changes):
        scenario = from_toml(SCENARIO)
        task = dataclasses.replace(scenario.task, **(task or {}))
        task = dataclasses.replace(
            task, round=dataclasses.replace(task.round, **({"smallest_cohort": 1} | (round_ or {})))
        )
        scenario = dataclasses.replace(scenario, task=task)
        data = dataclasses.replace(scenario.data, dataset=str(folder / "small.npz"), test_per_class=20)
        options = {key: changes.pop(key) for key in ("workers", "in_process", "engine") if key in changes}
        return fedrela_fleet(scenario, bundle=folder / "bundle", data=data, **options, **changes)

    return run

"""A pytest plugin: test your own model, data and artifacts on an emulated fleet, in your own CI.

It is there as soon as the package is installed. What it needs besides pytest is imported when a test asks for it.

    @pytest.mark.scenario("fleet.toml")
    def test_my_model_learns_on_the_fleet(fedrela_fleet):
        run = fedrela_fleet(bundle="bundle")
        run.assert_accuracy(overall=0.6, few=0.2)
        run.assert_no_failures()

The fixtures' former names `fleet`, `coordinator` and `export_bundle` are still there. A fixture of a project's own that
has one of these names goes before ours, and leaves those called `fedrela_` as they are.
"""

import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line(
        "markers", "scenario(name_or_path): the fleet's scenario, a file beside the test or a shipped one"
    )


@dataclass(frozen=True)
class FleetRun:
    """A finished emulation."""

    folder: Path
    summary: dict[str, Any]
    events: list[dict[str, Any]]
    rounds: list[dict[str, Any]]

    @property
    def accuracy(self) -> dict[str, float]:
        """Of the final model on the balanced test set: overall, many, medium, few, balanced."""
        accuracy: dict[str, float] = self.summary["accuracy"]
        return accuracy

    @property
    def final_sha256(self) -> str:
        """Of the final weights: equal for equal scenarios."""
        return str(self.summary["final_sha256"])

    def assert_accuracy(self, **least: float) -> None:
        """Each named accuracy (overall, many, medium, few, balanced) is at least this, in 0..1."""
        low = {name: self.accuracy[name] for name, bound in least.items() if not self.accuracy[name] >= bound}
        assert not low, f"accuracy below what was asked for: {low} (asked for {least}); see {self.folder}"

    def assert_no_failures(self, *, allow: tuple[str, ...] = ()) -> None:
        """Nothing but updates, waiting, joining and leaving happened, except the events or codes in `allow`."""
        fine = {"assigned", "update", "wait", "enrol", "leave", *allow}
        bad = Counter(
            f"{event['event']} {event.get('code', '')}".strip()
            for event in self.events
            if event["event"] not in fine and event.get("code") not in fine
        )
        assert not bad, f"devices failed: {dict(bad)}; see {self.folder / 'events.jsonl'}"

    def assert_learned(self, *, points: float) -> None:
        """Overall accuracy rose by at least this many percentage points from the start weights on."""
        before, after = self.rounds[0]["accuracy"]["overall"], self.rounds[-1]["accuracy"]["overall"]
        gain = 100 * (after - before)
        assert gain >= points, f"accuracy rose by {gain:.1f} points, {points} were asked for"


@pytest.fixture(scope="session")
def fedrela_coordinator() -> Iterator[Any]:
    """A real coordinator on loopback, on virtual time, for the whole session: `.url`, `.admin_key`."""
    from fedrela.emulator.connections import local_coordinator
    from fedrela.emulator.emulation import CoordinatorAccess

    with (
        local_coordinator.throwaway_folder() as data,
        local_coordinator.process(data) as (url, admin_key, process_id),
    ):
        yield CoordinatorAccess(url, admin_key, process_id=process_id)


@pytest.fixture(scope="session")
def coordinator(fedrela_coordinator: Any) -> Any:
    """The former name of `fedrela_coordinator`."""
    return fedrela_coordinator


@pytest.fixture
def fedrela_fleet(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[..., FleetRun]:
    """`fedrela_fleet(scenario, bundle=..., workers=1, **changes)`: emulate it and return the `FleetRun`.

    `scenario`: a `Scenario`, a file beside the test, or a shipped one; by default the one of the marker. `changes`
    replace fields of the scenario. `in_process=True` (the default) needs no network; otherwise the session's
    `fedrela_coordinator` is used, over HTTP, with `workers` processes, or that many workers of a local Ray cluster if
    `engine` is "ray".
    """
    return _emulator(request, tmp_path, "fedrela_coordinator")


@pytest.fixture
def fleet(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[..., FleetRun]:
    """The former name of `fedrela_fleet`; as before, it uses the `coordinator` that a project may override."""
    return _emulator(request, tmp_path, "coordinator")


@pytest.fixture(scope="session")
def fedrela_export_bundle(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """`fedrela_export_bundle("my_model:build", "--input", ...)`: `fedrela export`, once per session."""
    bundles: dict[tuple[str, ...], Path] = {}

    def export(*arguments: str) -> Path:
        if arguments not in bundles:
            folder = tmp_path_factory.mktemp("export") / "bundle"
            from fedrela.core import interpreter, signing

            key = folder.with_name("publisher.key")  # thrown away with the bundle
            key.write_text(signing.generate_key())
            signed = ("--publisher-key", str(key))
            command = interpreter.command("fedrela", "export", *signed, *arguments, "--out", str(folder))
            environment = interpreter.environment()
            done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
            assert done.returncode == 0, done.stderr
            bundles[arguments] = folder
        return bundles[arguments]

    return export


@pytest.fixture(scope="session")
def export_bundle(fedrela_export_bundle: Callable[..., Path]) -> Callable[..., Path]:
    """The former name of `fedrela_export_bundle`."""
    return fedrela_export_bundle


def _emulator(request: pytest.FixtureRequest, tmp_path: Path, coordinator_fixture: str) -> Callable[..., FleetRun]:
    """What `fedrela_fleet` gives."""

    def emulate(
        scenario: Any = None,
        *,
        bundle: Any,
        workers: int = 1,
        in_process: bool = True,
        engine: Any = "processes",
        **changes: Any,
    ) -> FleetRun:
        from fedrela.emulator.scenario import current_names

        original, folder = _scenario(request, scenario)
        changed = replace(original, **current_names(changes))
        out = tmp_path / f"run-{sum(1 for _ in tmp_path.iterdir())}"
        if not in_process:
            access = request.getfixturevalue(coordinator_fixture)
            return _run(changed, folder, access, Path(bundle), out, workers, engine)
        from fedrela.emulator.connections import local_coordinator
        from fedrela.emulator.emulation import CoordinatorAccess

        with (
            local_coordinator.throwaway_folder() as data,
            local_coordinator.in_process(data) as (url, admin_key, transport),
        ):
            access = CoordinatorAccess(url, admin_key, transport)
            return _run(changed, folder, access, Path(bundle), out, 0)

    return emulate


def _scenario(request: pytest.FixtureRequest, scenario: Any) -> tuple[Any, Path]:
    from fedrela.emulator.scenario import Scenario, load

    if isinstance(scenario, Scenario):
        return scenario, request.path.parent
    if scenario is None:
        marker = request.node.get_closest_marker("scenario")
        if marker is None:
            raise pytest.UsageError(
                "name a scenario: fedrela_fleet('fleet.toml', ...) or @pytest.mark.scenario('fleet.toml')"
            )
        (scenario,) = marker.args
    beside = request.path.parent / scenario
    return load(str(beside) if beside.is_file() else str(scenario))


def _run(
    scenario: Any, folder: Path, access: Any, bundle: Path, out: Path, workers: int, engine: Any = "processes"
) -> FleetRun:
    from fedrela.emulator.emulation import admin_of, emulate
    from fedrela.emulator.results import record

    if scenario.task is None:
        raise pytest.UsageError("the scenario has no [task] to publish")
    with admin_of(access) as admin:
        task_id = admin.publish(bundle, scenario.task)
    summary = emulate(scenario, access, task_id, out=out, folder=folder, workers=workers, run_by=engine, quiet=True)
    run = record.read(out)
    return FleetRun(out, summary, run.events, run.rounds)

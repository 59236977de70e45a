"""The bundle of an emulation: given, named by the scenario or exported as it says; signed, and published with its task.

task_id = publish(scenario, Path("scenarios"), None, coordinator)
"""

import shutil
import subprocess
import tempfile
from pathlib import Path

import typer

from fedrela.core import bundle as bundles
from fedrela.core import interpreter, signing
from fedrela.core.environment import extras
from fedrela.core.errors import InvalidInput
from fedrela.emulator.emulation import CoordinatorAccess, admin_of
from fedrela.emulator.scenario import Scenario


def publish(scenario: Scenario, folder: Path, bundle: Path | None, coordinator: CoordinatorAccess) -> str:
    """Publish the scenario's task on `bundle`, or on what the scenario names relative to `folder`; the task's id.

    Raises InvalidInput where there is no task, no bundle, or the scenario's export fails.
    """
    if scenario.task is None:
        raise InvalidInput(
            "the scenario has no [task]", remedy="add one, or point to a published task with --url and --task"
        )
    with tempfile.TemporaryDirectory(prefix="fedrela-bundle-") as temporary:
        if bundle is None and scenario.bundle:
            bundle = folder / scenario.bundle
        if bundle is None:
            bundle = _export(scenario, Path(temporary) / "bundle")
        own = coordinator.process_id or coordinator.transport
        with admin_of(coordinator) as admin:
            return admin.publish(_signed(bundle, Path(temporary)) if own else bundle, scenario.task)


def _signed(bundle: Path, temporary: Path) -> Path:
    """The bundle; of one that version 0.1 left unsigned a copy that is signed for this run alone."""
    if bundles.read_unsigned(bundle).seal.signature:
        return bundle
    copy = temporary / "signed"
    shutil.copytree(bundle, copy)
    bundles.seal(copy, signing.generate_key())
    return copy


def _export(scenario: Scenario, folder: Path) -> Path:
    """Make the bundle as the scenario says, by the verb that a person would type."""
    if not scenario.export:
        raise InvalidInput(
            "there is no bundle to publish", remedy="make one with `fedrela export` and pass it with --bundle"
        )
    extras.require("export", "exporting the scenario's model (no bundle is named with --bundle)")
    typer.echo(f"exporting: fedrela export {' '.join(scenario.export)}", err=True)
    key = folder.with_name("publisher.key")  # thrown away with the bundle
    key.write_text(signing.generate_key())
    signed = ("--publisher-key", str(key))
    command = interpreter.command("fedrela", "export", *signed, *scenario.export, "--out", str(folder))
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env=interpreter.environment() | {"COLUMNS": "200"}
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise InvalidInput(
            f"the export failed: {last}", remedy="run the same `fedrela export` by hand to see all of it"
        )
    return folder

"""The coordinator's verbs: publish and task here; serve in `cli/serving.py`, token and device in `cli/member_verbs.py`.

What a verb needs is imported when it runs.
"""

from pathlib import Path
from textwrap import indent
from typing import Annotated, Any

import typer

from fedrela.coordinator.cli.connection import LOCAL_URL, AdminKey, Json, Url, admin
from fedrela.coordinator.cli.fleet_verbs import fleet_app
from fedrela.coordinator.cli.member_verbs import device_app, token_app
from fedrela.coordinator.cli.numbers import between
from fedrela.coordinator.cli.serving import serve
from fedrela.coordinator.cli.standing_verbs import coordinator_app, key_app
from fedrela.coordinator.cli.tables import cell, show, table
from fedrela.core import strict
from fedrela.core import task as task_file
from fedrela.core.errors import InvalidInput

app = typer.Typer(no_args_is_help=True, help="Run and operate a coordinator.")
task_app = typer.Typer(
    no_args_is_help=True, help="Create, list, pause, resume, cancel, roll back tasks; download models."
)
app.add_typer(task_app, name="task")
app.add_typer(token_app, name="token")
app.add_typer(device_app, name="device")
app.add_typer(coordinator_app, name="coordinator")
app.add_typer(key_app, name="key")
app.add_typer(fleet_app, name="fleet")
app.command()(serve)

LONGEST_AGE_SECONDS = 1e9  # thirty years
Bundle = Annotated[Path, typer.Argument(help="The folder that `fedrela export` wrote.")]
Task = Annotated[str, typer.Argument(help="The task, by id or name.")]
TaskFile = Annotated[Path, typer.Argument(help="The task, a TOML file.")]


@app.command()
def publish(
    bundle: Bundle, task: TaskFile, url: Url = LOCAL_URL, admin_key: AdminKey = "", as_json: Json = False
) -> None:
    """Verify a bundle, send it with a task to the coordinator, and open round 1."""
    from fedrela.core import bundle as bundles

    text = strict.toml_text(task, InvalidInput, "task")
    opened = bundles.read(bundle)  # what no device would run is refused before anybody is asked
    with admin(url, admin_key) as api:
        loaded = task_file.from_toml(text, trial=api.is_trial())
        task_id = api.publish_bundle(opened, loaded)
    text = (
        f"task {task_id} is running: {loaded.rounds} rounds of {loaded.name}\n{loaded.name} is {loaded.privacy.words}"
    )
    show({"task_id": task_id}, as_json, text)


@task_app.command("create")
def task_create(
    bundle: Bundle, task: TaskFile, url: Url = LOCAL_URL, admin_key: AdminKey = "", as_json: Json = False
) -> None:
    """The same as `fedrela publish`."""
    publish(bundle, task, url, admin_key, as_json)


@task_app.command("list")
def task_list(url: Url = LOCAL_URL, admin_key: AdminKey = "", as_json: Json = False) -> None:
    """Every task and where it stands."""
    with admin(url, admin_key) as api:
        task_list = api.get("/tasks")
    table(
        task_list,
        ("task_id", "name", "population", "status", "committed_rounds", "rounds", "reported", "problem"),
        as_json,
    )


@task_app.command("show")
def task_show(task: Task, url: Url = LOCAL_URL, admin_key: AdminKey = "", as_json: Json = False) -> None:
    """One task: settings, open round, and every round so far."""
    with admin(url, admin_key) as api:
        task_id = api.id_of(task)
        shown_task = api.get(f"/tasks/{task_id}")
        rounds = api.get(f"/tasks/{task_id}/rounds")
    if as_json:
        return show(shown_task | {"history": rounds}, True, "")
    for key, value in shown_task.items():
        if key not in ("task", "settings"):
            typer.echo(f"{key:26} {cell(key, value) if key.endswith('_at') else value}")
    typer.echo(f"{'the model':26} fedrela task download {task_id} model/\n")
    typer.echo(indent(shown_task.get("settings", ""), "  "))  # which older coordinators don't say
    columns = ("round", "phase", "updates", "failures", "left_out", "update_bytes", "aggregation_seconds")
    if not any(record.get("groups") for record in rounds):
        return table(rounds, columns, False)
    from fedrela.coordinator.monitoring import secure_groups

    rounds = [record | {"groups": secure_groups.summary(record.get("groups", []))} for record in rounds]
    return table(rounds, (*columns, "groups"), False)


def _task_command(verb: str, done: str) -> Any:
    def command(task: Task, url: Url = LOCAL_URL, admin_key: AdminKey = "", as_json: Json = False) -> None:
        with admin(url, admin_key) as api:
            task_id = api.id_of(task)
            api.request("POST", f"/tasks/{task_id}/{verb}")
        show({"task_id": task_id, "done": verb}, as_json, f"task {task_id} {done}")

    return command


task_app.command("pause", help="Give out no new assignments.")(_task_command("pause", "is paused"))
task_app.command("resume", help="Go on after a pause or a failed round.")(_task_command("resume", "is running"))
task_app.command("cancel", help="End a task for good.")(_task_command("cancel", "is cancelled"))
task_app.command("delete", help="Delete an ended task: its history, its models.")(_task_command("delete", "is deleted"))


@task_app.command("rollback")
def task_rollback(
    task: Task,
    to_round: Annotated[int, typer.Option("--to", help="The round whose model to go back to; 0: the start weights.")],
    url: Url = LOCAL_URL,
    admin_key: AdminKey = "",
    as_json: Json = False,
) -> None:
    """Begin the next round from an earlier model; the open round ends without a result."""
    with admin(url, admin_key) as api:
        task_id = api.id_of(task)
        number = api.request("POST", f"/tasks/{task_id}/rollback", json={"to_round": to_round})["round"]
    text = f"task {task_id}: round {number} begins from the model of round {to_round}"
    show({"task_id": task_id, "to_round": to_round, "round": number}, as_json, text)


@task_app.command("download")
@task_app.command("export", hidden=True)  # what it was called in version 0.1
def task_download(
    task: Task,
    output: Annotated[
        Path,
        typer.Argument(help="The file of weights to write, .safetensors; or a folder, for weights and programs."),
    ],
    round_number: Annotated[
        int | None,
        typer.Option("--round", min=0, help="After which round; 0: the start weights. [default: the newest]"),
    ] = None,
    url: Url = LOCAL_URL,
    admin_key: AdminKey = "",
    as_json: Json = False,
) -> None:
    """Save a task's global model: the newest, or that of a round. A folder holds all that predicting takes."""
    from fedrela.coordinator import trained_model
    from fedrela.core import signing

    is_file = bool(output.suffix) and not output.is_dir()
    with admin(url, admin_key) as api:
        found = api.find(task)
        sha256 = found["checkpoint_sha256"]
        if round_number == 0:
            sha256 = found["initial_checkpoint_sha256"]
        elif round_number is not None:
            sha256 = _checkpoint_of(api.get(f"/tasks/{found['task_id']}/rounds"), round_number)
        contents = {} if is_file else trained_model.files(api, found["manifest_sha256"], sha256)
        body = contents.get(trained_model.WEIGHTS) or api.download(sha256)
    signing.check_sha256(body, sha256, "the checkpoint")
    text = f"{output}  sha256 {sha256}"
    if is_file:
        trained_model.save(output.parent, {output.name: body})
    else:
        text += "\n\n" + trained_model.how_to_use(trained_model.write(output, contents), output)
    show({"path": str(output), "sha256": sha256}, as_json, text)


def _checkpoint_of(rounds: list[dict[str, Any]], number: int) -> str:
    for record in rounds:
        if record["round"] == number and record["checkpoint_sha256"]:
            return str(record["checkpoint_sha256"])
    raise InvalidInput(f"round {number} is not committed", remedy="see `fedrela task show` for the rounds there are")


@task_app.command("collect")
def task_collect(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only list what would go.")] = False,
    min_age_seconds: Annotated[float, typer.Option(help="Keep what is younger.")] = 3600.0,
    url: Url = LOCAL_URL,
    admin_key: AdminKey = "",
    as_json: Json = False,
) -> None:
    """Delete stored blobs that no task needs any more."""
    between(min_age_seconds, "--min-age-seconds", 0, LONGEST_AGE_SECONDS)
    with admin(url, admin_key) as api:
        collection_request = {"dry_run": dry_run, "min_age_seconds": min_age_seconds}
        collected = api.request("POST", "/collect", json=collection_request)
    names = "".join(f"{name}\n" for name in collected["names"])
    verb = "would go" if dry_run else "deleted"
    show(collected, as_json, f"{names}{len(collected['names'])} blobs, {collected['bytes']} bytes {verb}")

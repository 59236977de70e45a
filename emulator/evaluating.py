"""The verb `evaluate`: accuracy of a task's models, round by round, on a test set of the operator's own.

Devices never say how well a class does, so this is how an operator learns it: models and programs come from the
coordinator, the labeled data stay on the operator's machine, and a handful of shares goes back for the dashboard.
What it needs besides typer is imported when the verb runs.

    $ fedrela evaluate t-0123 --data test-pictures/ --many cat,dog --few heron,owl --follow
"""

import json
import math
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fedrela.core.errors import InvalidInput

if TYPE_CHECKING:
    from fedrela.coordinator.admin_client import AdminClient
    from fedrela.core.bundle import Manifest

app = typer.Typer(help="Evaluate a task's models on a test set of your own.")
POLL_SECONDS = 2.0
Groups = tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]


@app.callback()
def _group() -> None:
    """Evaluate a task's models on a test set of your own."""


@app.command()
def evaluate(
    task: Annotated[str, typer.Argument(help="The task, by name or id.")],
    data: Annotated[str, typer.Option(help="Labeled test data, in any form that `fedrela device run` reads.")],
    many: Annotated[str, typer.Option(help="The common classes, by name or number, with commas between.")] = "",
    few: Annotated[str, typer.Option(help="The rare ones. The others are the medium ones.")] = "",
    again: Annotated[bool, typer.Option("--again", help="Also rounds that have figures already.")] = False,
    follow: Annotated[bool, typer.Option("--follow", help="Go on until the task has ended.")] = False,
    url: Annotated[str, typer.Option(envvar="FEDRELA_URL", help="The coordinator.")] = "http://127.0.0.1:8000",
    admin_key: Annotated[
        str, typer.Option(envvar="FEDRELA_ADMIN_KEY", show_default=False, help="The coordinator's admin key.")
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a round.")] = False,
) -> None:
    """Evaluate every committed round that has no figures yet, print them, and send them to the dashboard."""
    from fedrela.coordinator.cli import connection
    from fedrela.emulator.results import record

    with connection.admin(url, admin_key) as admin:
        rounds = 0
        for number, accuracy in evaluated_rounds(admin, task, data, many, few, again=again, follow=follow):
            shares = {name: getattr(accuracy, name) for name in ("overall", "many", "medium", "few")}
            if as_json:
                typer.echo(json.dumps(record.finite({"round": number, **shares})))
            else:
                if not rounds:
                    typer.echo("round  overall     many   medium      few")
                typer.echo(f"{number:5}" + "".join(f"{_percent(share):>9}" for share in shares.values()))
            rounds += 1
        if not rounds:
            raise _nothing_to_evaluate(admin.task(admin.id_of(task)))


def _nothing_to_evaluate(record: dict[str, Any]) -> InvalidInput:
    """Why there is no table."""
    if record["committed_rounds"]:
        return InvalidInput("every round has its figures already", remedy="add --again to evaluate them once more")
    return InvalidInput(
        f"no round of {record['name']} is finished yet; it waits for: {record.get('waits_for', 'its first round')}",
        remedy="try again later, or add --follow to wait for the rounds",
    )


def _percent(share: float) -> str:
    return "–" if math.isnan(share) else f"{100 * share:.1f}"


def evaluated_rounds(
    admin: "AdminClient", task: str, data: str, many: str, few: str, *, again: bool = False, follow: bool = False
) -> Iterator[tuple[int, Any]]:
    """Each (round, accuracy) as soon as its model is there. Raises InvalidData, InvalidInput and Unavailable."""
    from fedrela.core import tensors
    from fedrela.edge.sources import open_source
    from fedrela.edge.training import examples
    from fedrela.emulator.emulation import download_bundle, open_engine
    from fedrela.emulator.results.evaluation import evaluate as evaluate_weights

    record = admin.find(task)
    task_id, manifest_sha256 = record["task_id"], record["manifest_sha256"]
    manifest, blobs = download_bundle(admin, manifest_sha256)
    groups = class_groups(manifest, many, few)
    engine = open_engine(manifest_sha256, blobs)
    test = open_source(data)(manifest)
    for note in test.notes:
        typer.echo(f"note: {note}", err=True)
    test = examples.check(test, manifest)
    if len(test.x) != 1:
        raise InvalidInput("the model takes several inputs", remedy="evaluate it with a program of your own")
    (x,) = test.x.values()
    done: set[int] = set()
    while True:
        ended = admin.task(task_id)["status"] in ("finished", "cancelled")
        for item in admin.rounds(task_id):
            if item["committed_at"] is None or item["round"] in done or (item["accuracy"] and not again):
                continue
            weights = tensors.from_bytes(admin.download(item["checkpoint_sha256"]), manifest.weights)
            accuracy, _ = evaluate_weights(engine, weights, x, test.y, groups)
            admin.report_accuracy(task_id, item["round"], accuracy, len(test))
            done.add(item["round"])
            yield item["round"], accuracy
        if ended or not follow:
            return
        time.sleep(POLL_SECONDS)


def class_groups(manifest: "Manifest", many: str, few: str) -> Groups:
    """(many, medium, few) as class numbers; all empty where none is named. Raises InvalidInput."""
    common, rare = _classes(manifest, many), _classes(manifest, few)
    if not common and not rare:
        return (), (), ()
    if set(common) & set(rare):
        raise InvalidInput("a class is both common and rare", remedy="name it in --many or in --few")
    others = tuple(label for label in range(manifest.classes) if label not in common + rare)
    return common, others, rare


def _classes(manifest: "Manifest", text: str) -> tuple[int, ...]:
    names = {name: label for label, name in enumerate(manifest.class_names)}
    numbers = {str(label): label for label in range(manifest.classes)}
    classes = [item.strip() for item in text.split(",") if item.strip()]
    for item in classes:
        if item not in names | numbers:
            known = ", ".join(names or numbers)
            raise InvalidInput(f"the model has no class {item!r}", remedy=f"choose from {known}")
    return tuple((numbers | names)[item] for item in classes)

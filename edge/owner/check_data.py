"""`fedrela device check --data ...`: what a device would train on, before it is enrolled anywhere."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fedrela.core import bundle
from fedrela.core.errors import InvalidData
from fedrela.edge.owner.options import AsJson, State
from fedrela.edge.training import contradictions

if TYPE_CHECKING:
    from fedrela.core.bundle import Manifest
    from fedrela.edge.sources.preview import Preview


def check_data(
    data: Annotated[str, typer.Option("--data", help="What `fedrela device run --data` would be given.")],
    state: State,
    model: Annotated[
        Path | None,
        typer.Option("--bundle", help="The folder that `fedrela export` wrote. [default: the model trained last here]"),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show what would be read of your data, what is left out and why, and whether it fits the model. Nothing is sent.

    Example: fedrela device check --data ~/photos --bundle bundle/
    """
    from fedrela.edge.sources import preview

    manifest = bundle.read_unsigned(model).manifest if model else _newest(state)
    seen = preview.look(data, manifest)
    told = describe(data, seen, manifest)
    typer.echo(json.dumps(told) if as_json else render(told, seen))
    if seen.problems or not seen.samples:
        count = len(seen.problems)
        counted = "one problem keeps" if count == 1 else f"{count} problems keep"
        raise InvalidData(
            f"{counted} a round from beginning" if count else "nothing can be used",
            remedy="do what is said above" if count else "make a folder for each class: cats/one.jpg",
        )


def describe(data: str, seen: "Preview", manifest: "Manifest | None") -> dict[str, Any]:
    """The same as plain data."""
    return {
        "data": data,
        "samples": seen.samples,
        "per_class": seen.per_class,
        "sizes": seen.sizes,
        "left_out": seen.left_out,
        "problems": list(seen.problems),
        "contradicting": seen.contradicting,
        "model": _model(manifest) if manifest else None,
    }


def _model(manifest: "Manifest") -> dict[str, Any]:
    return {
        "name": manifest.name,
        "classes": list(manifest.class_names) or manifest.classes,
        "inputs": {spec.name: f"{spec.dtype}:{'x'.join(map(str, spec.shape[1:]))}" for spec in manifest.x},
        "resize": manifest.preprocessing.fit if manifest.preprocessing.kind == "image" else None,
    }


def render(told: dict[str, Any], seen: "Preview") -> str:
    """As text, for the owner of the data."""
    from fedrela.edge.sources.preview import MOST_NAMED

    per_class = ", ".join(f"{name} {count}" for name, count in seen.per_class.items()) or "none"
    lines = [f"{'read':12} {seen.samples} of {told['data']}: {per_class}"]
    if seen.sizes:
        lines.append(f"{'sizes':12} {seen.sizes}")
    lines += [f"{'left out':12} {count} {reason}" for reason, count in seen.left_out.items()]
    if seen.contradicting:
        lines.append(f"{'labels':12} {contradictions.NOTE}: {seen.contradicting}")
    lines += [f"{'problem':12} {problem}" for problem in seen.problems[:MOST_NAMED]]
    if len(seen.problems) > MOST_NAMED:
        lines.append(f"{'problem':12} and {len(seen.problems) - MOST_NAMED} more")
    model = told["model"]
    if model is None:
        lines.append(f"{'model':12} none is known yet: name it with --bundle, or enroll and train once")
    else:
        classes = model["classes"]
        named = ", ".join(classes) if isinstance(classes, list) else f"0 to {classes - 1}"
        fitted = f", pictures fitted by {model['resize']}" if model["resize"] else ""
        inputs = ", ".join(f"{name} {form}" for name, form in model["inputs"].items())
        lines.append(f"{'model':12} {model['name']}: {inputs}{fitted}; classes {named}")
    return "\n".join(lines)


def _newest(state: Path) -> "Manifest | None":
    """The model that this device trained last, if it is still kept."""
    from fedrela.core.bundle import parse_manifest
    from fedrela.edge.storage.kept import Room
    from fedrela.edge.storage.state_folder import is_state_folder
    from fedrela.edge.storage.store import FolderStore

    if not is_state_folder(state):
        return None
    store = FolderStore(state)
    body = Room(store, store, most_tasks=1, most_bytes=0).newest_manifest()
    return parse_manifest(body) if body else None

"""The verbs on a bundle that is there: `fedrela verify`, `inspect` and `seal`.

$ fedrela verify bundle/
"""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from fedrela.export.reporting import display

app = typer.Typer(add_completion=False, help="Look into bundles, test them, sign them.")
_status = Console(stderr=True, highlight=False)

JSON = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables.")]


@app.command("verify")
def verify_command(
    folder: Annotated[Path, typer.Argument(help="A bundle that `fedrela export` wrote.")],
    trusted_key: Annotated[
        str, typer.Option(help="Publisher's public key (hex) that must have signed the bundle.")
    ] = "",
    as_json: JSON = False,
) -> None:
    """Check a bundle's hashes and signature, and re-run its golden steps on the installed runtimes."""
    from fedrela.core import bundle
    from fedrela.core.errors import VerificationFailed
    from fedrela.export.verification import fresh_process, replay

    opened = bundle.read(folder, trusted_key=trusted_key) if trusted_key else bundle.read_unsigned(folder)
    results = []
    for runtime in replay.available(opened):
        _status.print(f"[dim]•[/dim] golden steps on {runtime}")
        results.append(fresh_process.replay(folder, runtime))
    if as_json:
        typer.echo(json.dumps(display.summary(opened.manifest, results)))
    else:
        display.print_verification(opened.manifest, results)
    for result in results:
        try:
            result.check(opened.manifest.golden.tolerance)
        except VerificationFailed as error:
            raise VerificationFailed(error.problem, remedy="update that runtime, or export the model again") from error


@app.command("inspect")
def inspect_command(
    folder: Annotated[Path, typer.Argument(help="A bundle that `fedrela export` wrote.")],
    as_json: JSON = False,
) -> None:
    """Show what a bundle holds: inputs and outputs, operators, sizes, hashes, signature."""
    from fedrela.core import bundle
    from fedrela.export.contents import describe

    described = describe(bundle.read_unsigned(folder))
    if as_json:
        typer.echo(json.dumps(described))
        return
    display.print_contents(described)


@app.command("audit")
def audit_command(
    folder: Annotated[Path, typer.Argument(help="A bundle that somebody exported.")],
    model: Annotated[
        str,
        typer.Option(
            help="Your own source of the model, module:function or path/to/file.py:function: compare with it."
        ),
    ] = "",
    loss: Annotated[str, typer.Option(help="With --model: the loss, where it is one of its publisher's own.")] = "",
    augment: Annotated[str, typer.Option(help="With --model: the augmentation, as for `fedrela export`.")] = "",
    mean: Annotated[str, typer.Option(help="With --model: the mean of pixels, as for `fedrela export`.")] = "",
    std: Annotated[str, typer.Option(help="With --model: their standard deviation.")] = "",
    seed: Annotated[int, typer.Option(help="With --model: of the data that are drawn. [default: at random]")] = -1,
    as_json: JSON = False,
) -> None:
    """Show what a bundle's programs compute: operators, what outputs depend on, how labels move an update.

    With your own source of the model steps are compared with eager PyTorch, on data that its publisher couldn't know.
    """
    import secrets

    from fedrela.core import bundle
    from fedrela.core.errors import VerificationFailed
    from fedrela.export.audit import report

    opened = bundle.read_unsigned(folder)
    described = report.describe(opened)
    wrong: dict[str, float] = {}
    if model:
        from fedrela.export.audit import eager
        from fedrela.export.loading import load_model, numbers
        from fedrela.export.verification import replay

        seed = secrets.randbelow(2**31) if seed < 0 else seed
        pixels = {"mean": numbers(mean, "--mean"), "std": numbers(std, "--std")}
        recipe = eager.recipe_of(opened.manifest, loss=loss, augment=augment, **pixels)
        errors = eager.step_errors(opened, replay.available(opened)[0], load_model(model), recipe, seed)
        wrong = eager.wrong(errors)
        described["eager"] = {"seed": seed, "largest": max(errors.values()), "wrong": wrong}
    if as_json:
        typer.echo(json.dumps(described))
    else:
        report.print_report(described)
    if wrong:
        raise VerificationFailed(
            f"{len(wrong)} outputs are not those of a training step of that model, first of all {next(iter(wrong))}",
            remedy="do not enroll devices for this publisher's programs; ask what they compute",
        )


@app.command("seal")
def seal_command(
    folder: Annotated[Path, typer.Argument(help="A bundle that `fedrela export` wrote.")],
    publisher_key: Annotated[
        Path | None,
        typer.Option(
            help="File with the publisher's Ed25519 private key (hex). "
            "[default: your own, ~/.config/fedrela/publisher.key, made on first use]"
        ),
    ] = None,
    as_json: JSON = False,
) -> None:
    """Sign a bundle as its publisher: you vouch for what its programs do. Look into it first: fedrela audit."""
    from fedrela.core import bundle
    from fedrela.export import publisher_key as keys

    bundle.read_unsigned(folder)
    sealed = bundle.seal(folder, keys.load(publisher_key, lambda line: _status.print(escape(line))))
    if as_json:
        typer.echo(json.dumps({"folder": str(folder), "publisher": sealed.publisher()}))
        return
    typer.echo(f"{folder} is signed by the publisher {sealed.publisher()}")

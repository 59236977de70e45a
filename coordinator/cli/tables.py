"""Operators' answers on a terminal: aligned columns, or JSON for programs."""

import json
import time
from typing import Any

import typer


def show(value: Any, as_json: bool, text: str) -> None:
    """One answer: `text`, or `value` as JSON."""
    typer.echo(json.dumps(value, indent=2) if as_json else text)


def table(records: list[dict[str, Any]], columns: tuple[str, ...], as_json: bool) -> None:
    """Aligned columns, or JSON. Times are shown in UTC."""
    if as_json:
        typer.echo(json.dumps(records, indent=2))
        return
    rows = [[cell(name, record.get(name)) for name in columns] for record in records]
    widths = [max(len(row[i]) for row in [list(columns), *rows]) for i in range(len(columns))]
    for row in [list(columns), *rows]:
        typer.echo("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())


def cell(name: str, value: Any) -> str:
    """A value for people, by its name: a time in UTC."""
    if value is None:
        return "-"
    if name.endswith("_at"):
        return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(value))
    if isinstance(value, dict):
        return " ".join(f"{key}={item}" for key, item in value.items()) or "-"
    return f"{value:.3f}" if isinstance(value, float) else str(value)

"""The folder that an export is written to: never something else's, and never half an export.

output_folder.check(out, BUNDLE, overwrite=False)
with output_folder.drafted(out) as draft:
    (draft / "manifest.json").write_text("{}")  # in `out` once the block ends; if it raises, `out` is as it was
"""

import os
import shutil
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from fedrela.core.bundle import PROGRAMS
from fedrela.core.errors import InvalidInput

BUNDLE = frozenset(
    ["manifest.json", "golden.safetensors", "weights.safetensors", "seal.json"]
    + [f"{program}.{suffix}" for program in PROGRAMS for suffix in ("onnx", "pte")]
)
_SCRATCH = ".export-"  # what an export that was killed leaves behind is nobody's


def check(out: Path, names: Collection[str], *, overwrite: bool) -> None:
    """Raise InvalidInput where nothing can be written, `out` holds other files than these, or is not to be replaced."""
    nearest = next(folder for folder in (out, *out.absolute().parents) if folder.exists())
    if not nearest.is_dir():
        raise InvalidInput(f"{nearest} is no folder", remedy="choose another --out folder")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise InvalidInput(f"{nearest} can't be written to", remedy="choose another --out folder")
    held = _held(out) if nearest == out else []
    if foreign := [name for name in held if name not in names]:
        raise InvalidInput(
            f"{out} holds {foreign[0]}, which this export does not write, and replaces no more than it writes",
            remedy="choose another --out folder",
        )
    if held and not overwrite:
        raise InvalidInput(f"{out} holds an export already", remedy="add --overwrite, or choose another --out folder")


@contextmanager
def drafted(out: Path) -> Iterator[Path]:
    """A folder to write to, whose files are in `out` once the block ends; where it raises, nothing changes.

    An older export there is gone only when the new one stands. An empty folder is filled, not replaced: it may be a
    mounted one, or where a shell is.
    """
    out = out.resolve()
    empty = out.is_dir() and not _held(out)
    near = out if empty else next(folder for folder in out.parents if folder.exists())
    with tempfile.TemporaryDirectory(prefix=_SCRATCH, dir=near) as scratch:
        draft = Path(scratch) / "draft"
        draft.mkdir()
        yield draft
        if empty:
            _fill(out, draft)
        else:
            _put_in_place(draft, out)


def _held(out: Path) -> list[str]:
    return sorted(path.name for path in out.iterdir() if not path.name.startswith(_SCRATCH))


def _fill(out: Path, draft: Path) -> None:
    """The seal comes last: without it, nobody takes a bundle for a whole one."""
    for path in sorted(draft.iterdir(), key=lambda path: path.name == "seal.json"):
        path.rename(out / path.name)


def _put_in_place(draft: Path, out: Path) -> None:
    if not out.exists():
        out.parent.mkdir(parents=True, exist_ok=True)
        draft.rename(out)
        return
    old = draft.parent / "old"
    out.rename(old)
    try:
        draft.rename(out)
    except OSError:
        old.rename(out)
        raise
    shutil.rmtree(old)

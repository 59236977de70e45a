"""The folder that an export is written to: never something else's, and never half a bundle."""

import shutil
from pathlib import Path

from fedrela.core.errors import InvalidInput


def check(out: Path, overwrite: bool) -> None:
    """Raise InvalidInput where `out` holds something else, or a bundle that is not to be replaced."""
    if not out.exists():
        return
    ours = out.is_dir() and ((out / "seal.json").is_file() or not any(out.iterdir()))
    if not ours:
        raise InvalidInput(f"{out} exists and is no bundle", remedy="choose another --out folder")
    if not overwrite and any(out.iterdir()):
        raise InvalidInput(f"{out} holds a bundle already", remedy="add --overwrite, or choose another --out folder")


def put_in_place(draft: Path, out: Path) -> None:
    """Put the finished folder in place; an older bundle there is gone only when the new one stands."""
    if out.exists():
        old = draft.parent / "old"
        out.rename(old)
        try:
            draft.rename(out)
        except OSError:
            old.rename(out)
            raise
        shutil.rmtree(old)
    else:
        draft.rename(out)
    out.chmod(0o755)

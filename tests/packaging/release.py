"""`make dist`: the wheel and the sdist as they are released, with the phone page that was built, and checked.

$ python -m tests.packaging.release dist
"""

import shutil
import sys
import tempfile
from email.parser import BytesParser
from pathlib import Path
from zipfile import ZipFile

from tests.packaging import distributions
from tests.packaging.distributions import PAGE

MOST_BYTES_OF_PAGE = 8_000_000
MOST_BYTES = 10_000_000  # of the wheel


def make(out: Path) -> tuple[Path, Path]:
    """(sdist, wheel) in `out`, which is new: the wheel is made of the sdist, as an installer would."""
    with tempfile.TemporaryDirectory(prefix="fedrela-dist-") as scratch:
        tree = distributions.copy_with_page(Path(scratch) / "tree")
        sdist = distributions.build("build_sdist", tree, Path(scratch) / "sdist")
        source = distributions.unpack(sdist, Path(scratch) / "source")
        wheel = distributions.build("build_wheel", source, Path(scratch) / "wheel")
        out.mkdir(parents=True)
        return Path(shutil.copy2(sdist, out)), Path(shutil.copy2(wheel, out))


def faults(wheel: Path) -> list[str]:
    """What keeps a wheel from being released."""
    with ZipFile(wheel) as opened:
        sizes = {item.filename: item.file_size for item in opened.infolist()}
        (metadata,) = [opened.read(name) for name in sizes if name.endswith(".dist-info/METADATA")]
    page = {name: size for name, size in sizes.items() if name.startswith(f"fedrela/{PAGE}/")}
    fields = BytesParser().parsebytes(metadata)
    wrong = [f"it has no {name}" for name in ("Name", "Version", "Summary", "Requires-Python") if not fields[name]]
    if fields["Description-Content-Type"] != "text/markdown" or "# FedReLa Edge" not in str(fields.get_payload()):
        wrong.append("the README is not its description")
    if f"fedrela/{PAGE}/index.html" not in page:
        wrong.append("the phone page is not in it: make web")
    if sum(page.values()) > MOST_BYTES_OF_PAGE:
        wrong.append(f"the phone page has {sum(page.values())} bytes installed, {MOST_BYTES_OF_PAGE} are allowed")
    if wheel.stat().st_size > MOST_BYTES:
        wrong.append(f"it has {wheel.stat().st_size} bytes, {MOST_BYTES} are allowed")
    return wrong


def main() -> None:
    """Make and check both; ends with status 1 where something is wrong."""
    sdist, wheel = make(Path(sys.argv[1]))
    for path in (sdist, wheel):
        print(f"{path}  {path.stat().st_size} bytes")
    wrong = faults(wheel)
    if wrong:
        raise SystemExit("\n".join(f"error: {wheel.name}: {fault}" for fault in wrong))


if __name__ == "__main__":
    main()

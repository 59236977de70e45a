"""What secure rounds cost a device, its page, and the coordinator.

    cd web && npx tsc -p tsconfig.test.json && cd .. && python -m benchmarks.secure.costs     # some four minutes
    python -m benchmarks.secure.costs --parameters 100000 --without-page

Of groups of 16, by the number of parameters: a member's processor time for all its steps, in Python and in the page's
code (`benchmarks.page_session`), and its memory while it masks; the sum of a group of which two have vanished. The bar
of a device is for the sessions of one that goes on running; the first session of its process is measured beside them.
Then 62 such groups, which are a thousand devices; whole rounds over HTTP, with and without losses; and how many devices
a second the emulator trains in secure rounds and in plain ones. Nothing else should run meanwhile. Writes
benchmarks/results/secure_costs.json and the table of docs/privacy.md; exit status 1 where a bar is missed.
"""

import argparse
import json
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks import page_session, pages
from benchmarks.secure import first_session, http_rounds, rates
from fedrela.conformance.secure import sessions
from fedrela.core.secure import masked_body, unmasking

COMMAND = "benchmarks.secure.costs"
RESULTS = Path(__file__).parents[1] / "results" / "secure_costs.json"
GROUP, LOST = 16, (5, 11)
SIZES = (100_000, 1_000_000, 11_000_000)
DEVICE_BARS_MS = dict(zip(SIZES, (25.0, 100.0, 2000.0), strict=True))
MEMORY_BAR_BYTES = 8 << 20  # beside one more vector
PAGE_BAR = page_session.BAR  # times Python
MANY_GROUPS, MANY_PARAMETERS, MANY_BAR_SECONDS = 62, 1_000_000, 60.0
Row = dict[str, Any]


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parameters", type=int, nargs="+", default=SIZES)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--devices", type=int, default=320, help="of the emulated fleets; 0: none")
    parser.add_argument("--without-page", action="store_true")
    parser.add_argument("--quick", action="store_true", help="write nothing")
    arguments = parser.parse_args()
    document: Row = {"group": GROUP, "sizes": {}}

    def say(name: str, row: object) -> None:
        print(f"{name}: {row}", file=sys.stderr, flush=True)

    with tempfile.TemporaryDirectory(prefix="secure-costs-") as name, threadpool_limits(1):
        folder = Path(name)
        for size in arguments.parameters:
            document["sizes"][str(size)] = row = of_size(
                folder, size, arguments.repeats, page=not arguments.without_page
            )
            say(f"{size} parameters", row)
        document["many"] = many(folder, min(MANY_PARAMETERS, max(arguments.parameters)))
        say(f"{MANY_GROUPS} groups", document["many"])
        document["rounds"] = http_rounds.measure(folder)
        say("rounds over HTTP", document["rounds"])
        if arguments.devices:
            document["rates"] = rates.measure(folder, arguments.devices)
            say("devices a second", document["rates"])
    document["bars"] = bars(document)
    print(table(document))
    for bar, holds in document["bars"].items():
        print(f"{bar}: {'holds' if holds else 'missed'}")
    if not arguments.quick:
        RESULTS.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
        pages.write(pages.PRIVACY, COMMAND, table(document))
    sys.exit(not all(document["bars"].values()))


def of_size(folder: Path, size: int, repeats: int, *, page: bool) -> Row:
    """One number of parameters: milliseconds of processor time, and bytes."""
    played = page_session.session(size)
    times, _ = page_session.python_times(played, repeats)
    first = min(first_session.measure(folder, played) for _ in range(repeats))
    row: Row = {"device_ms": _rounded(times), "first_ms": round(first, 2), "memory_bytes": _memory(played)}
    if page:
        row["page_ms"] = _rounded(page_session.page_times(played, repeats)[0])
    del played
    session = _summing(size)
    start = time.process_time()
    total = session.total()
    row["sum_ms"] = round(1000 * (time.process_time() - start), 1)
    assert total[0] == (GROUP - len(LOST)) * session_vector(size)[0]
    return row


def session_vector(size: int) -> sessions.Vector:
    """The vector of every member."""
    return (np.arange(1, size + 1, dtype=np.int32) * np.int32(7919)) % np.int32(2**25)


def _summing(size: int) -> sessions.Session:
    """A group that waits for its sum; two have vanished as they masked."""
    vectors = np.broadcast_to(session_vector(size), (GROUP, size))
    return sessions.until(sessions.begin(GROUP), "summing", vectors, dict.fromkeys(LOST, "masking"))


def _memory(played: page_session.Session) -> int:
    """What masking takes at its peak beside the vector that is there, and its body with it."""
    shared = page_session.meet(played)
    tracemalloc.start()
    try:
        page_session.mask(played, shared)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def many(folder: Path, size: int) -> Row:
    """The sums of 62 groups, a thousand devices: their masked updates are read from files, checked and added."""
    session = _summing(size)
    group, paths = session.group, []
    for index, words in session.words.items():
        proof = group.proofs[index]
        header = masked_body.Header(proof.session, proof.senders_sha256, proof.signature)
        paths.append(folder / f"body-{index}")
        paths[-1].write_bytes(masked_body.to_bytes(words, header))
    start = time.perf_counter()
    for _ in range(MANY_GROUPS):
        bodies = (masked_body.from_bytes(path.read_bytes(), size)[0] for path in paths)
        unmasking.unmask(bodies, group, unmasking.open_secrets(group))
    return {"groups": MANY_GROUPS, "parameters": size, "seconds": round(time.perf_counter() - start, 2)}


def _rounded(times: Mapping[str, float]) -> dict[str, float]:
    return {part: round(milliseconds, 2) for part, milliseconds in times.items()}


def bars(document: Mapping[str, Any]) -> dict[str, bool]:
    """What was to be shown, and whether it holds."""
    verdicts: dict[str, bool] = {}
    for size, row in document["sizes"].items():
        of_device = sum(row["device_ms"].values())
        name = f"{int(size):,} parameters"
        if int(size) in DEVICE_BARS_MS:
            verdicts[f"{name}: device at most {DEVICE_BARS_MS[int(size)]:.0f} ms"] = (
                of_device <= DEVICE_BARS_MS[int(size)]
            )
        verdicts[f"{name}: memory at most a vector and 8 MiB"] = row["memory_bytes"] <= 4 * int(size) + MEMORY_BAR_BYTES
        if "page_ms" in row:
            verdicts[f"{name}: page at most {PAGE_BAR:.0f} times"] = (
                sum(row["page_ms"].values()) <= PAGE_BAR * of_device
            )
    if document["many"]["parameters"] == MANY_PARAMETERS:
        verdicts["a thousand devices with 1 M parameters in 60 s"] = document["many"]["seconds"] <= MANY_BAR_SECONDS
    return verdicts | http_rounds.bars(document["rounds"]) | rates.bars(document.get("rates", {}))


def table(document: Mapping[str, Any]) -> str:
    """By size; then the rest in lines."""
    lines = ["| parameters | device | its process's first session | page | memory | coordinator, a group's sum |\n"]
    lines.append("|---:|---:|---:|---:|---:|---:|\n")
    for size, row in document["sizes"].items():
        page = f"{sum(row['page_ms'].values()):,.0f} ms" if "page_ms" in row else "–"
        memory = f"{row['memory_bytes'] / 1e6:,.1f} MB"
        device, first, total = sum(row["device_ms"].values()), row["first_ms"], row["sum_ms"]
        cells = (f"{device:,.0f} ms", f"{first:,.0f} ms", page, memory, f"{total:,.0f} ms")
        lines.append(f"| {int(size):,} | {' | '.join(cells)} |\n")
    many_ = document["many"]
    lines.append("\n| what | measured |\n|---|---:|\n")
    what = f"{many_['groups']} groups of 16 with {many_['parameters']:,} parameters each, summed"
    lines.append(f"| {what} | {many_['seconds']:.1f} s |\n")
    return "".join([*lines, *_rest(document)])


def _rest(document: Mapping[str, Any]) -> Sequence[str]:
    return [*http_rounds.lines(document["rounds"]), *rates.lines(document.get("rates", {}))]


if __name__ == "__main__":
    main()

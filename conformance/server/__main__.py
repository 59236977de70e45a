"""`python -m fedrela.conformance.server`: a scripted coordinator that judges a client of the protocol.

Either it runs the client itself, once a case, and prints the verdicts:

    python -m fedrela.conformance.server --client "COMMAND"
    COMMAND: my-device --link {link} --state {state} --data {data} --secret {secret}

The command gets the enrollment link, a state folder of the case's own, a safetensors file with the inputs `x` (n, ...)
and `y` (n,), and the 32-byte secret (hexadecimal) that its random draws come from: without it the update can't be
compared. It enrolls unless its state says that it has, and works until it has sent an update or given one up; it may
end earlier, as it is started again while the case goes on. It prints a line that begins with "step " after each
training step, so that it can be killed between two. {hurry} is the number that it may divide its pauses by (--hurry).

Or it waits to be told by HTTP (JSON):

    GET  /cases                    names, what each is about, the right outcomes
    POST /cases/{name}/start       begins it: {"link", "secret", "data", "kill_after_steps"}
    GET  /cases/{name}/verdict     {"state": "pending" | "passed" | "failed", "faults", "log", "kill_now"}
    POST /cases/{name}/killed      kill_now was true and the client is killed: {"start_again_seconds"}

Exit status: 0 if every case passed, 1 otherwise.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from fedrela.conformance.server.http_server import ConformanceServer
from fedrela.conformance.server.runner import command, run_case


def main() -> int:
    """Parse the arguments; serve, or judge."""
    parser = argparse.ArgumentParser(
        prog="python -m fedrela.conformance.server",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--port", type=int, default=0, help="of 127.0.0.1; one that is free unless given")
    parser.add_argument(
        "--client", default="", help="the command to judge, with {link} {state} {data} {secret} {hurry}"
    )
    parser.add_argument("--case", action="append", help="play only this one; may be repeated")
    parser.add_argument("--hurry", type=float, default=1.0, help="by how much the client shortens its pauses")
    parser.add_argument("--slow", action="store_true", help="also the cases that take minutes without --hurry")
    parser.add_argument("--page", type=Path, help="folder of the built phone page, served at each case's link")
    parser.add_argument("--jobs", type=int, default=2, help="cases at a time")
    chosen = parser.parse_args()
    server = ConformanceServer(chosen.port, hurry=chosen.hurry, page=chosen.page)
    names = [
        name
        for name, case in server.cases.items()
        if name in (chosen.case or [name]) and (chosen.slow or chosen.hurry >= 20 or not case.slow)
    ]
    if chosen.client:
        return judge(server, names, chosen.client, chosen.jobs)
    for name in names:
        print(f"{name:32}{server.link(name)}")
    print(f"control: {server.url}/cases", flush=True)
    while True:
        time.sleep(3600)


def judge(server: ConformanceServer, names: list[str], text: str, jobs: int) -> int:
    """Play the cases with a command; those that compare with another case come last. The exit status."""
    failed = 0
    alone = [name for name in names if not server.cases[name].update.startswith("same as")]
    after = [name for name in names if name not in alone]
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(jobs) as pool:
        for group in (alone, after):
            for verdict in pool.map(lambda name: run_case(server, name, command(text), Path(folder)), group):
                print(verdict_line(verdict), flush=True)
                failed += verdict["state"] != "passed"
    print(f"{len(names) - failed} of {len(names)} cases passed")
    return 1 if failed else 0


def verdict_line(verdict: Mapping[str, Any]) -> str:
    """One line for a person."""
    return json.dumps(verdict) if verdict["state"] == "failed" else f"{verdict['state']:8}{verdict['case']}"


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)

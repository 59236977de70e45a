"""Python and the page give one verdict on every body, and the command that says so finds a client that doesn't."""

import json
import shlex
import shutil
import subprocess
import sys
from random import Random

import pytest

from fedrela.conformance.differential import edges, large, verdicts
from fedrela.conformance.differential.__main__ import compare, main
from fedrela.conformance.differential.bodies import documents
from fedrela.conformance.differential.mutants import CLIENT_KINDS, KINDS, Case, case
from fedrela.conformance.differential.verdicts import python_verdict, python_verdicts
from fedrela.core.protocol import json_text
from fedrela.core.task import Task
from tests.web.browser import WEB

CASES = 6000


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The page's verdicts as a program, built beside no other build."""
    if shutil.which("node") is None or not (WEB / "node_modules").is_dir():
        pytest.skip("Node.js or the page's packages are not installed; run: make web")
    folder = tmp_path_factory.mktemp("page")
    (folder / "package.json").write_text('{"type": "module"}')
    (folder / "node_modules").symlink_to(WEB / "node_modules")
    command = ["npx", "tsc", "-p", "tsconfig.test.json", "--outDir", str(folder)]
    built = subprocess.run(command, cwd=WEB, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    return shlex.join(["node", str(folder / "web" / "conformance" / "verdicts.js")])


def test_python_and_the_page_give_one_verdict(page):
    tally = compare(range(CASES), 0, {"page": page})
    assert tally.cases == CASES
    assert [example.text() for example in tally.examples] == []
    assert (tally.differences, tally.foreign) == (0, 0)


def test_python_accepts_and_refuses_of_every_kind_and_raises_nothing_else():
    tally = compare(range(CASES, CASES + 7500), 0, {})
    assert [example.text() for example in tally.examples] == []
    assert tally.foreign == 0
    for kind in KINDS:
        assert tally.verdicts[kind, "accepted"] > 60
        assert tally.verdicts[kind, "refused"] > 60


@pytest.mark.parametrize("kind", ["Task", "Safetensors", "Update", "Bundle", "Program", "Picture", "CheckIn"])
def test_a_body_of_16_mb_costs_little(kind):
    cases = [Case(kind, *large.body(kind, Random(number))) for number in range(12)]
    assert len({item.changes for item in cases}) > 3
    for item in cases:
        assert python_verdicts([item])[0] in ("accepted", "refused"), item.changes


def test_what_costs_too_much_is_a_finding(monkeypatch):
    monkeypatch.setattr(verdicts, "python_verdict", lambda kind, body: str(bytearray(b"x" * 100_000_000)[:0], "ascii"))
    assert python_verdicts([Case("Task", b"{}", ())])[0].endswith(" MB")
    monkeypatch.setattr(verdicts, "python_verdict", lambda kind, body: "accepted")
    monkeypatch.setattr(verdicts, "MOST_SECONDS", -1.0)
    assert python_verdicts([Case("Task", b"{}", ())])[0].endswith(" s")


def test_the_good_bodies_are_good():
    for kind, bodies in documents().items():
        for body in bodies:
            assert python_verdict(kind, json_text.encode(body)) == "accepted", (kind, body)


def test_a_case_is_the_same_whenever_it_is_made():
    command = "from fedrela.conformance.differential.mutants import case; print([case(3, n).body for n in range(200)])"
    done = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str([case(3, number).body for number in range(200)])


def test_the_values_around_a_limit_lie_at_it_inside_and_outside():
    around = edges.edges({}, Task)
    assert {0, 1, 2, 9_999, 10_000, 10_001} <= set(around["local", "epochs"])
    fractions = around["aggregation", "trim_fraction"]
    assert {0.0, 0.5} <= set(fractions)
    assert any(0 < value < 1e-300 for value in fractions)
    assert any(0.499999 < value < 0.5 for value in fractions)
    assert any(value < 0 for value in fractions)
    assert {len(name) for name in around["name",]} >= {0, 1, 99, 100, 101}


CLIENTS = {
    "accepts all": 'import sys\nfor line in sys.stdin: print("accepted", flush=True)',
    "refuses all": 'import sys\nfor line in sys.stdin: print("refused", flush=True)',
    "breaks down": 'import sys\nfor line in sys.stdin: print("foreign: TypeError", flush=True)',
    "ends early": "import sys\nfor _ in range(5): sys.stdin.readline(); print('accepted', flush=True)",
}


@pytest.mark.parametrize("name", CLIENTS)
def test_the_command_finds_a_client_that_differs(name, tmp_path, capfd):
    figures = tmp_path / "figures.json"
    client = shlex.join([sys.executable, "-c", CLIENTS[name]])
    assert main(["--cases", "500", "--jobs", "1", "--client", f"wrong={client}", "--json", str(figures)]) == 1
    document = json.loads(figures.read_text())
    asked = [document["kinds"][kind] for kind in CLIENT_KINDS]  # a client is asked of these alone
    accepted, refused = (sum(counts[verdict] for counts in asked) for verdict in ("accepted", "refused"))
    expected = {"accepts all": refused, "refuses all": accepted, "breaks down": accepted + refused}
    assert document["differences"] == document["clients"]["wrong"] == expected.get(name, document["differences"])
    assert document["differences"] > 50
    foreign = {"breaks down": accepted + refused, "ends early": accepted + refused - 5}
    assert document["foreign"] == foreign.get(name, 0)
    assert "500 cases" in capfd.readouterr().out


def test_the_command_is_content_where_all_agree(tmp_path):
    figures = tmp_path / "figures.json"
    assert main(["--cases", "500", "--jobs", "2", "--seed", "9", "--json", str(figures)]) == 0
    document = json.loads(figures.read_text())
    assert (document["cases"], document["differences"], document["examples"]) == (500, 0, [])

"""The house rules: arrows go one way, there are no import cycles, and devices and servers never need torch."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("core", "coordinator", "edge", "export")
ALLOWED = {"core": set(), "coordinator": {"core"}, "edge": {"core"}, "export": {"core"}}
HEAVY = {
    "core": {"torch", "fastapi", "sqlalchemy", "httpx", "onnxruntime", "executorch", "socket", "sqlite3", "time"},
    "coordinator": {"torch", "onnxruntime", "executorch", "onnx"},
    "edge": {"fastapi", "sqlalchemy", "onnx", "onnxscript"},
    "export": {"fastapi", "sqlalchemy"},
}
# The one documented exception: ExecuTorch's Python runtime needs torch, and is imported lazily.
LAZY_TORCH = {"edge/executorch_engine.py"}


def sources(package):
    return sorted((ROOT / package).rglob("*.py"))


def module_name(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path, *, top_level_only=False):
    """Absolute names of the modules that a file imports."""
    tree = ast.parse(path.read_text())
    nodes = tree.body if top_level_only else ast.walk(tree)
    names = []
    for node in nodes:
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import; write the whole name"
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return names


@pytest.mark.parametrize("package", PACKAGES)
def test_arrows_go_one_way(package):
    for path in sources(package):
        ours = {name.split(".")[0] for name in imports(path)} & set(PACKAGES)
        assert ours <= ALLOWED[package] | {package}, f"{path.relative_to(ROOT)} imports {ours}"


@pytest.mark.parametrize("package", PACKAGES)
def test_no_package_imports_what_it_must_live_without(package):
    for path in sources(package):
        found = {name.split(".")[0] for name in imports(path)} & HEAVY[package]
        if str(path.relative_to(ROOT)) not in LAZY_TORCH:
            assert not found, f"{path.relative_to(ROOT)} imports {found}"


def test_edge_imports_torch_only_lazily_and_in_one_file():
    users = {
        str(path.relative_to(ROOT))
        for path in sources("edge")
        if {"torch", "executorch"} & {name.split(".")[0] for name in imports(path)}
    }
    assert users <= LAZY_TORCH
    for user in users:
        top = {name.split(".")[0] for name in imports(ROOT / user, top_level_only=True)}
        assert not {"torch", "executorch"} & top


def test_there_are_no_import_cycles():
    modules = {module_name(path): path for package in PACKAGES for path in sources(package)}
    graph = {
        name: {found for found in imports(path, top_level_only=True) if found in modules and found != name}
        for name, path in modules.items()
    }
    done, trail = set(), []

    def visit(name):
        assert name not in trail, " -> ".join([*trail, name])
        if name not in done:
            trail.append(name)
            for target in sorted(graph[name]):
                visit(target)
            done.add(trail.pop())

    for name in sorted(graph):
        visit(name)


@pytest.mark.parametrize("package", ["core", "edge", "coordinator"])
def test_imports_where_torch_is_blocked(package):
    names = [module_name(path) for path in sources(package)]
    script = (
        "import sys, importlib\n"
        "for blocked in ('torch', 'executorch', 'onnx', 'onnxscript'): sys.modules[blocked] = None\n"
        f"for name in {names!r}: importlib.import_module(name)\n"
    )
    finished = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr


def test_the_study_reaches_export_and_coordinator_by_name_only():
    for path in sources("study"):
        ours = {name.split(".")[0] for name in imports(path)} & set(PACKAGES)
        assert ours <= {"core", "edge"}, f"{path.relative_to(ROOT)} imports {ours}"


def test_help_imports_no_package():
    script = (
        "import sys, fedrela\n"
        "sys.argv = ['fedrela', '--help']\n"
        "try: fedrela.main()\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'fastapi', 'onnxruntime', 'edge', 'coordinator', 'export'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    finished = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
    assert "emulate" in finished.stdout


def test_an_unknown_verb_is_one_clear_line_and_a_failure():
    command = [sys.executable, "-m", "fedrela", "nonsense"]
    finished = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert finished.returncode == 2
    assert "nonsense" in finished.stderr
    assert "Traceback" not in finished.stderr

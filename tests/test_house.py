"""The house rules: arrows go one way, nothing is imported behind their back, and devices and servers need no torch."""

import ast
import re
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# Who may import whom; this table alone says it. The root (`fedrela/*.py`) may import all, inside functions.
ALLOWED = {
    "core": set(),
    "coordinator": {"core"},
    "edge": {"core"},
    "export": {"core"},
    "emulator": {"core", "edge", "coordinator"},
    "study": {"core", "edge", "coordinator", "export", "emulator"},
    "conformance": {"core", "edge", "export"},
}
WITHOUT = {
    "core": {"torch", "fastapi", "sqlalchemy", "httpx", "onnxruntime", "executorch", "socket", "sqlite3", "time"},
    "coordinator": {"torch", "onnxruntime", "executorch", "onnx"},
    "edge": {"fastapi", "sqlalchemy", "onnx", "onnxscript"},
    "export": {"fastapi", "sqlalchemy"},
}
# The one documented exception: ExecuTorch's Python runtime needs torch, and is imported lazily.
LAZY_TORCH = {"edge/engines/executorch_engine.py"}
# Where a module is found by name at run time, and why.
DYNAMIC = {
    "fedrela/cli.py": "a verb's package is imported when the verb is asked for",
    "core/references.py": "a user names a model, a loss or a source of their own",
    "edge/engines/pool.py": "a runtime is imported when its first program is opened",
}
DYNAMIC_NAMES = {"import_module", "__import__", "spec_from_file_location", "exec", "eval", "run_module", "run_path"}
LEAVES = {"tests", "benchmarks", "examples"}


def sources(package):
    return sorted((ROOT / package).rglob("*.py"))


def module_name(path):
    parts = ("fedrela", *path.relative_to(ROOT).with_suffix("").parts)
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


def ours(path):
    """Our packages that a file imports, by their folder's name."""
    names = [name.split(".") for name in imports(path)]
    bare = {parts[0] for parts in names} & set(ALLOWED)
    assert not bare, f"{path.relative_to(ROOT)} imports {bare} without `fedrela.`"
    return {parts[1] for parts in names if parts[0] == "fedrela" and len(parts) > 1} & set(ALLOWED)


@pytest.mark.parametrize("package", ALLOWED)
def test_arrows_go_one_way(package):
    for path in sources(package):
        assert ours(path) <= ALLOWED[package] | {package}, f"{path.relative_to(ROOT)} imports {ours(path)}"


def test_an_import_inside_a_function_is_seen(tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    path = tmp_path / "module.py"
    path.write_text("def work():\n    from fedrela.edge.client import DeviceClient\n    import fedrela.study\n")
    assert ours(path) == {"edge", "study"}
    assert dependencies(path, {"fedrela.edge.client", "fedrela.study"}) == {"fedrela.edge.client", "fedrela.study"}


@pytest.mark.parametrize("package", [*ALLOWED, "fedrela"])
def test_nothing_in_the_product_imports_a_test_a_benchmark_or_an_example(package):
    for path in product_files(package):
        assert not LEAVES & {name.split(".")[0] for name in imports(path)}, path


@pytest.mark.parametrize("package", ALLOWED)
def test_a_package_takes_nothing_but_the_version_from_the_root(package):
    for path in sources(package):
        of_root = {name for name in imports(path) if re.match(r"fedrela\.", name) and name.split(".")[1] not in ALLOWED}
        assert of_root <= {"fedrela.__version__"}, f"{path}: {of_root}"


def test_the_root_imports_no_package_but_core_at_its_top():
    for path in product_files("fedrela"):
        top = {name for name in imports(path, top_level_only=True) if name.startswith("fedrela.")}
        assert not {name.split(".")[1] for name in top} & (set(ALLOWED) - {"core"}), path


@pytest.mark.parametrize("package", [*ALLOWED, "fedrela", "benchmarks", "examples"])
def test_nothing_is_imported_by_name_but_where_the_table_says_so(package):
    for path in product_files(package):
        name = str(path.relative_to(ROOT))
        assert bool(dynamic_names(path)) == (name in DYNAMIC), f"{name} uses {dynamic_names(path)}"


def product_files(folder):
    """A folder's modules; for the root its own alone, not those that it links to."""
    return sorted((ROOT / folder).glob("*.py")) if folder == "fedrela" else sources(folder)


def dynamic_names(path):
    """What a file uses that imports or runs code which no import statement names; `model.eval()` is not that."""
    used = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Name):
            used.add(node.id)
        elif isinstance(node, ast.Attribute) and node.attr not in {"exec", "eval"}:
            used.add(node.attr)
        elif isinstance(node, ast.ImportFrom):
            used |= {alias.name for alias in node.names}
    return used & DYNAMIC_NAMES


@pytest.mark.parametrize("package", WITHOUT)
def test_no_package_imports_what_it_must_live_without(package):
    for path in sources(package):
        heavy = {name.split(".")[0] for name in imports(path)} & WITHOUT[package]
        if str(path.relative_to(ROOT)) not in LAZY_TORCH:
            assert not heavy, f"{path.relative_to(ROOT)} imports {heavy}"


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


def dependencies(path, modules):
    """Our modules that a file imports, at its top or inside a function; of a package, the part that it names."""
    named = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            named |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            parts = (f"{node.module}.{alias.name}" for alias in node.names)
            named |= {part if part in modules else node.module for part in parts}
    return (named & modules) - {module_name(path)}


def test_there_are_no_import_cycles():
    paths = {module_name(path): path for package in ALLOWED for path in sources(package)}
    graph = {name: dependencies(path, set(paths)) for name, path in paths.items()}
    try:
        tuple(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


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


def test_no_file_is_loaded_under_two_names():
    script = (
        "import pkgutil, sys, importlib, os\n"
        "import uvicorn.importer\n"
        "app = uvicorn.importer.import_from_string('coordinator.app:app')\n"
        "import fedrela\n"
        "from fedrela.coordinator.app import app as named\n"
        "assert app is named\n"
        "for module in pkgutil.walk_packages(fedrela.__path__, 'fedrela.'):\n"
        "    if module.name not in {'fedrela.__main__', 'fedrela.export.official.ort_training_child'}:\n"
        "        importlib.import_module(module.name)\n"
        "files = {}\n"
        "for name, module in list(sys.modules.items()):\n"
        "    path = os.path.realpath(getattr(module, '__file__', None) or '/')\n"
        f"    if path.startswith({str(ROOT) + '/'!r}) and '.venv' not in path:\n"
        "        files.setdefault(path, {})[id(module)] = name\n"
        "assert len(files) > 200, len(files)\n"
        "double = [list(names.values()) for names in files.values() if len(names) > 1]\n"
        "assert not double, double\n"
    )
    finished = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr

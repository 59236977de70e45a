"""The picture of the walk names functions that exist."""

import ast
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).parents[2]


def functions_of(module: str) -> set[str]:
    """The functions at the top level of a module of the coordinator, by the module's own name."""
    (path,) = (ROOT / "coordinator").rglob(f"{module}.py")
    return {node.name for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef)}


def test_every_function_that_the_picture_names_exists() -> None:
    texts = ElementTree.parse(ROOT / "docs" / "walk.svg").iterfind(".//{*}text[@class='code']")
    names = [text.text or "" for text in texts]
    assert len(names) == 7
    for name in names:
        module, _, function = name.partition(".")
        assert function in functions_of(module), name

"""The sample speaks two languages: no text is missing in one, and none that nobody shows is left in."""

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

SAMPLE = Path(__file__).parents[2] / "android/sample/src/main"
ENGLISH, GERMAN = (SAMPLE / f"res/{folder}/strings.xml" for folder in ("values", "values-de"))


def texts(path: Path) -> dict[str, list[str]]:
    """The texts of each name: one, or one for each quantity."""
    return {
        item.attrib["name"]: [part.text or "" for part in (item if item.tag == "plurals" else (item,))]
        for item in ElementTree.parse(path).getroot()
    }


def blanks(text: str) -> list[str]:
    return sorted(set(re.findall(r"%\d\$[sd]", text)))


def test_both_languages_have_the_same_texts_with_the_same_blanks():
    english, german = texts(ENGLISH), texts(GERMAN)
    assert list(english) == list(german)
    for name in english:
        assert [blanks(text) for text in english[name]] == [blanks(text) for text in german[name]], name


@pytest.mark.parametrize("path", [ENGLISH, GERMAN], ids=["English", "German"])
def test_a_text_is_whole(path):
    for name, parts in texts(path).items():
        for text in parts:
            assert text, name
            assert text == text.strip(), name
            # Plain quotes mean something to aapt.
            assert not set("'\"") & set(text), name
            assert "..." not in text, name


def test_every_text_is_shown_somewhere():
    shown = "\n".join(path.read_text() for path in SAMPLE.rglob("*") if path.suffix in {".kt", ".xml"})
    for name in texts(ENGLISH):
        assert re.search(rf"(R\.(string|plurals)\.|@string/){name}\b", shown), name

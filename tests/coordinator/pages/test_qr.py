"""A link's code on a terminal is dark on light, whatever colors the terminal has."""

import re
from xml.etree import ElementTree

import segno

from fedrela.coordinator.pages import qr

LINK = "https://fl.example.org/join#token.00112233445566778899aabbccddeeff"


def test_a_camera_sees_the_code_on_a_light_terminal_too() -> None:
    lines = qr.as_text(LINK).splitlines()
    assert all(line.startswith("\x1b[97;40m") and line.endswith("\x1b[0m") for line in lines)
    light = {"█": (1, 1), "▀": (1, 0), "▄": (0, 1), " ": (0, 0)}  # white is drawn on black
    rows: list[list[int]] = []
    for line in lines:
        halves = [light[sign] for sign in re.sub("\x1b[^m]*m", "", line)]
        rows += [[upper for upper, _ in halves], [lower for _, lower in halves]]
    code = [[1 - dark for dark in row] for row in segno.make(LINK, error="m").matrix_iter(border=2)]
    assert rows[: len(code)] == code


def test_the_picture_of_a_file_shows_the_same_code() -> None:
    drawn = ElementTree.fromstring(qr.as_svg(LINK))
    assert drawn.tag == "{http://www.w3.org/2000/svg}svg"
    side = len(list(segno.make(LINK, error="m").matrix_iter(border=4)))
    assert drawn.get("width") == str(6 * side)
    (dark,) = [path.get("d", "") for path in drawn.iter() if "stroke" in path.attrib]
    rows = [[0] * side for _ in range(side)]
    x, y = 0.0, 0.0
    for move, along, down in re.findall(r"([Mmh])(-?[0-9.]+)(?: (-?[0-9.]+))?", dark):
        if move == "h":
            rows[int(y)][int(x) : int(x) + int(along)] = [1] * int(along)
        x, y = (float(along), float(down)) if move == "M" else (x + float(along), y + float(down or 0))
    assert rows == [[int(module) for module in row] for row in segno.make(LINK, error="m").matrix_iter(border=4)]

"""A JPEG's scans: whether they bring every coefficient, and the same file with other bytes where they end.

libjpeg makes up what a scan leaves out, and Pillow doesn't hear of it. A scan that may end too early is therefore read
again with bytes put before its end: those that a complete scan never reads become pixels of one that is cut short.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from math import ceil

import numpy as np
from numpy.typing import NDArray

from fedrela.edge.sources.jpeg_segments import START, segment_end, segments

_FRAMES = {0xC0, 0xC1, 0xC2}  # baseline, extended, progressive: coded by Huffman, as browsers read them
_NO_FRAMES = {0xC4, 0xC8, 0xCC}  # tables and the like, whose markers lie among those of frames
_PROGRESSIVE, _RESTARTS, _SCAN, _NONE = 0xC2, 0xDD, 0xDA, -1
_BETWEEN = {0xC4, 0xDB, _RESTARTS, 0xFE, 0xFF, *range(0xE0, 0xF0)}  # two scans: tables, descriptions, what fills up
_BLOCK = 8  # pixels
_COEFFICIENTS = frozenset(range(_BLOCK * _BLOCK))
_RESTART = range(0xD0, 0xD8)
_OTHER_BYTES = bytes.fromhex("b56ad39c") * 16  # begin with a one: a decoder that is out of bytes goes on with zeros
_MOST_SCANS = 100  # each is a walk through all pixels; progressive JPEGs have about ten
_MOST_SEGMENTS = 1000  # after the first scan


@dataclass(frozen=True)
class Component:
    """A component of the frame: its samples per unit, across and down."""

    number: int
    across: int
    down: int


@dataclass(frozen=True)
class Frame:
    """Size in pixels and what is in it."""

    width: int
    height: int
    components: tuple[Component, ...]
    progressive: bool

    def units(self, components: tuple[Component, ...]) -> int:
        """How many units a scan of these has: blocks of one component, else groups of blocks that cover the same."""
        most_across, most_down = max(c.across for c in self.components), max(c.down for c in self.components)
        (across, down) = (components[0].across, components[0].down) if len(components) == 1 else (1, 1)
        return ceil(self.width * across / (_BLOCK * most_across)) * ceil(self.height * down / (_BLOCK * most_down))


@dataclass(frozen=True)
class Scan:
    """A scan: the coefficients that are complete with it, where its data and their restarts lie."""

    components: tuple[int, ...]
    complete: range
    start: int
    restarts: list[int]
    end: int
    interval: int  # units between two restarts; 0 where there is none


def check(body: bytes) -> list[Scan]:
    """The scans of a JPEG. Raises ValueError where a walk through its segments shows that something is missing."""
    frame = _frame(body)
    scans = list(islice(_scans(body), _MOST_SCANS + 1))
    if len(scans) > _MOST_SCANS:
        raise ValueError(f"it has more than {_MOST_SCANS} scans")
    by_number = {component.number: component for component in frame.components}
    sent: dict[int, set[int]] = {number: set() for number in by_number}
    for scan in scans:
        if not set(scan.components) <= set(by_number):
            raise ValueError("a scan has a component that its frame doesn't have")
        for number in scan.components:
            sent[number].update(scan.complete if frame.progressive else _COEFFICIENTS)
        units = frame.units(tuple(by_number[number] for number in scan.components))
        if scan.interval and len(scan.restarts) < ceil(units / scan.interval) - 1:
            raise ValueError("its pixels are cut short")
    if not all(coefficients >= _COEFFICIENTS for coefficients in sent.values()):
        raise ValueError("its pixels are cut short")
    return scans


def with_other_bytes(body: bytes, scans: list[Scan]) -> bytes:
    """The same picture, unless a scan or what lies between its restarts ends too early."""
    pieces, before = [], 0
    for at in (stop for scan in scans for stop in (*scan.restarts, scan.end)):
        while body[at - 1] == 0xFF:  # what fills up goes with its marker
            at -= 1
        pieces += [body[before:at], _OTHER_BYTES]
        before = at
    return b"".join((*pieces, body[before:]))


def _frame(body: bytes) -> Frame:
    frames = [at for at in segments(body) if body[at + 1] & 0xF0 == 0xC0 and body[at + 1] not in _NO_FRAMES]
    if len(frames) != 1:
        raise ValueError("it has no frame, or two")
    (at,) = frames
    data = body[at + 4 : segment_end(body, at)]
    if body[at + 1] not in _FRAMES or len(data) < 6 or len(data) < 6 + 3 * data[5] or not data[5]:
        raise ValueError("its pixels are packed in a way that browsers don't read")
    described = [data[6 + 3 * number : 9 + 3 * number] for number in range(data[5])]
    components = tuple(Component(number, max(1, way >> 4), max(1, way & 15)) for number, way, _ in described)
    return Frame(int.from_bytes(data[3:5]), int.from_bytes(data[1:3]), components, body[at + 1] == _PROGRESSIVE)


def _scans(body: bytes) -> Iterator[Scan]:
    interval, at, markers = 0, len(START), _markers(body)
    for before in segments(body):
        interval, at = _interval(body, before, interval), segment_end(body, before)
    for _ in range(_MOST_SEGMENTS):
        marker = body[at + 1] if body[at : at + 1] == b"\xff" and at + 4 <= len(body) else _NONE
        if marker == _SCAN:
            scan = _scan(body, at, markers, interval)
            yield scan
            at = scan.end
        elif marker in _BETWEEN:
            interval = _interval(body, at, interval)
            at = segment_end(body, at)
        else:
            return


def _markers(body: bytes) -> NDArray[np.intp]:
    """Where markers are within scans: FF 00 is a byte of theirs, and of several FF the last one counts."""
    values = np.frombuffer(body, np.uint8)
    places = np.flatnonzero(values[:-1] == 0xFF)
    return places[~np.isin(values[places + 1], (0x00, 0xFF))]


def _scan(body: bytes, at: int, markers: NDArray[np.intp], interval: int) -> Scan:
    start = segment_end(body, at)
    header = body[at + 4 : start]
    count = header[0] if header else 0
    if not count or len(header) < 4 + 2 * count:
        raise ValueError("a scan's header is damaged")
    first, last, bits = header[1 + 2 * count : 4 + 2 * count]
    complete = range(0) if bits & 15 else range(first, last + 1)
    end, restarts = len(body), []
    for marker in markers[np.searchsorted(markers, start) :].tolist():
        if body[marker + 1] not in _RESTART:
            end = marker
            break
        restarts.append(marker)
    return Scan(tuple(header[1 : 1 + 2 * count : 2]), complete, start, restarts, end, interval)


def _interval(body: bytes, at: int, before: int) -> int:
    return int.from_bytes(body[at + 4 : at + 6]) if body[at : at + 2] == bytes((0xFF, _RESTARTS)) else before

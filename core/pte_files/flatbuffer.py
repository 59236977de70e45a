"""Reads a flatbuffer table by table, within its bounds: what a device needs of a .pte file, without its runtime.

    program = root(body)
    plans = program.tables(1)

https://flatbuffers.dev/internals: a table begins with the distance back to its vtable, which holds for each field where
in the table it lies, or 0. Texts, vectors and tables within a table are distances from where they are named.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from fedrela.core.errors import InvalidBundle


def malformed() -> InvalidBundle:
    """What is raised for bytes that aren't a flatbuffer of the expected form."""
    return InvalidBundle("the program is not a .pte file", remedy="export the model again")


@dataclass(frozen=True)
class Vector:
    """Where the items of a vector begin, and how many there are."""

    start: int
    count: int


@dataclass(frozen=True)
class Table:
    """A table in a buffer. Fields go by their number in the schema; one that isn't there is 0, "" or empty."""

    body: bytes
    at: int

    def has(self, field: int) -> bool:
        """Whether the field is there."""
        return self._place(field) != 0

    def number(self, field: int, form: str) -> int:
        """A whole number; `form` is that of `struct`, such as "I"."""
        place = self._place(field)
        return self._read(form, place) if place else 0

    def text(self, field: int) -> str:
        """A text."""
        vector = self.vector(field, 1)
        try:
            return self.body[vector.start : vector.start + vector.count].decode()
        except UnicodeDecodeError as error:
            raise malformed() from error

    def vector(self, field: int, item_bytes: int) -> Vector:
        """A vector whose items have a size; all of it lies in the buffer."""
        place = self._place(field)
        if not place:
            return Vector(0, 0)
        start = self._follow(place)
        count = self._read("I", start)
        if start + 4 + count * item_bytes > len(self.body):
            raise malformed()
        return Vector(start + 4, count)

    def numbers(self, field: int, form: str) -> tuple[int, ...]:
        """A vector of whole numbers."""
        vector = self.vector(field, struct.calcsize(f"<{form}"))
        return struct.unpack_from(f"<{vector.count}{form}", self.body, vector.start)

    def table(self, field: int) -> "Table | None":
        """A table within."""
        place = self._place(field)
        return Table(self.body, self._follow(place)) if place else None

    def tables(self, field: int) -> Iterator["Table"]:
        """A vector of tables."""
        vector = self.vector(field, 4)
        for index in range(vector.count):
            yield Table(self.body, self._follow(vector.start + 4 * index))

    def _place(self, field: int) -> int:
        """Where the field lies; 0 if it isn't there."""
        vtable = self.at - self._read("i", self.at)
        if 4 + 2 * field + 2 > self._read("H", vtable):
            return 0
        offset = self._read("H", vtable + 4 + 2 * field)
        return self.at + offset if offset else 0

    def _follow(self, place: int) -> int:
        return place + self._read("I", place)

    def _read(self, form: str, place: int) -> int:
        if place < 0 or place + struct.calcsize(f"<{form}") > len(self.body):
            raise malformed()
        value: int = struct.unpack_from(f"<{form}", self.body, place)[0]
        return value


def root(body: bytes) -> Table:
    """The outermost table. Raises InvalidBundle."""
    if len(body) < 8:
        raise malformed()
    return Table(body, struct.unpack_from("<I", body)[0])

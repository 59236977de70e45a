"""JSON as every client of the protocol reads it: RFC 8259, and what two readers could take differently is refused.

UTF-8 without a byte-order mark; no key twice, no half of a surrogate pair, no NaN; arrays and objects at most 64 deep;
a number of at most 64 characters, whole numbers within +-(2^53 - 1) (RFC 7493), others finite. At most 4,000,000 bytes
with 150,000 opening brackets, opening braces and commas, so that a short body can't fill a memory: an array of empty
arrays takes twenty times its text. All that holds for members that nobody looks at, too.

    >>> parse(b'{"round": 3, "later": [1.5]}', InvalidMessage)
    {'round': 3, 'later': [1.5]}
    >>> encode({"b": 1, "a": 0.5})
    b'{"a":0.5,"b":1}'
"""

import dataclasses
import json
import math
from functools import lru_cache
from typing import Any

from fedrela.core.errors import InvalidInput, InvalidMessage
from fedrela.core.protocol.limits import SAFE_WHOLE

MOST_BYTES = 4_000_000
MOST_MARKS = 150_000  # of "[", "{" and ",", those in texts too: no fewer than there are values
MOST_DEPTH = 64
MOST_NUMBER_CHARACTERS = 64


def parse(body: bytes | str, error: type[InvalidInput] = InvalidMessage) -> Any:
    """The value that a body holds. Raises `error`."""
    _check_bytes(len(body), error)
    try:
        text = body if isinstance(body, str) else body.decode("utf-8")
        brackets = text.count("[") + text.count("{")
        if brackets + text.count(",") > MOST_MARKS:
            raise error("the JSON holds too many values", remedy=f"send at most {MOST_MARKS}")
        data = _decoder(error).decode(text)  # type: ignore[arg-type]  # a class is hashable
        if "\\u" in text or not text.isascii():
            json.dumps(data, ensure_ascii=False).encode()  # half of a surrogate pair is no text
    except (ValueError, RecursionError) as fault:
        raise error(f"the body is not JSON ({str(fault)[:200]})", remedy="send one UTF-8 JSON object") from fault
    if brackets > MOST_DEPTH:
        _check_depth(data, error)
    return data


def _check_bytes(length: int, error: type[InvalidInput]) -> None:
    if length > MOST_BYTES:
        raise error("the JSON is too long", remedy=f"send at most {MOST_BYTES} bytes")


def encode(value: Any) -> bytes:
    """The canonical JSON of plain values and dataclasses: sorted keys, no spaces, UTF-8. Equal values, equal bytes."""
    return _CANONICAL.encode(value).encode()


@lru_cache(maxsize=32)
def _decoder(error: type[InvalidInput]) -> json.JSONDecoder:
    """A decoder that raises `error` for what this protocol refuses: made once, as every message needs it."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        table = dict(pairs)
        if len(table) != len(pairs):
            raise error("a JSON object holds the same key twice", remedy="send each key once")
        return table

    def refuse(literal: str) -> float:
        raise error(f"the JSON holds {literal[:20]}", remedy="send finite numbers of at most 64 characters")

    def whole(literal: str) -> int:
        number = int(literal) if len(literal) <= MOST_NUMBER_CHARACTERS else SAFE_WHOLE + 1
        if abs(number) > SAFE_WHOLE:
            raise error(f"the JSON holds {literal[:20]}", remedy="send whole numbers within 2^53")
        return number

    def fractional(literal: str) -> float:
        number = float(literal) if len(literal) <= MOST_NUMBER_CHARACTERS else math.inf
        return number if math.isfinite(number) else refuse(literal)

    return json.JSONDecoder(object_pairs_hook=unique, parse_constant=refuse, parse_int=whole, parse_float=fractional)


def _check_depth(data: Any, error: type[InvalidInput]) -> None:
    level = [data]
    for _ in range(MOST_DEPTH):
        containers = [item for item in level if isinstance(item, dict | list)]
        if not containers:
            return
        level = [inner for item in containers for inner in (item.values() if isinstance(item, dict) else item)]
    if any(isinstance(item, dict | list) for item in level):
        raise error("the JSON is too deep", remedy=f"nest at most {MOST_DEPTH} arrays and objects")


def _by_name(value: Any) -> dict[str, Any]:
    """A dataclass as a dict. `dataclasses.asdict` would copy whatever is in it, for every message anew."""
    return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}


_CANONICAL = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False, default=_by_name
)

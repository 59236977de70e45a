"""Drawn changes of bytes and of JSON documents, for tests of what reads them."""

import json
from collections.abc import Callable

from hypothesis import strategies as st

scalars = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=20)
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner))


@st.composite
def byte_changes(draw: st.DrawFn) -> Callable[[bytes], bytes]:
    """Flip, cut, repeat, insert or replace bytes somewhere."""
    kind = draw(st.sampled_from(["flip", "cut", "repeat", "insert", "replace", "head"]))
    at, noise = draw(st.floats(0, 1, exclude_max=True)), draw(st.binary(min_size=1, max_size=24))

    def change(body: bytes) -> bytes:
        place = int(at * max(len(body), 1))
        rules: dict[str, bytes] = {
            "flip": body[:place] + bytes([body[place] ^ (noise[0] or 1)]) + body[place + 1 :] if body else noise,
            "cut": body[:place],
            "repeat": body + body[place:],
            "insert": body[:place] + noise + body[place:],
            "replace": noise,
            "head": noise[:8].ljust(8, b"\0") + body[8:],
        }
        return rules[kind]

    return change


@st.composite
def json_changes(draw: st.DrawFn) -> Callable[[bytes], bytes]:
    """Replace, remove or add one value somewhere in a JSON document; safetensors' headers are JSON too."""
    choices = draw(st.lists(st.integers(0, 40), min_size=1, max_size=6))
    value, remove, key = draw(values), draw(st.booleans()), draw(st.text(max_size=8))

    def change(body: bytes) -> bytes:
        binary = body[:1] != b"{"
        size = int.from_bytes(body[:8], "little") if binary else len(body)
        text = body[8 : 8 + size] if binary else body
        try:
            document = json.loads(text)
        except ValueError:
            return text  # a program
        place = document
        for choice in choices[:-1]:
            children = list(place.values()) if isinstance(place, dict) else place
            if not children or not isinstance(children[choice % len(children)], dict | list):
                break
            place = children[choice % len(children)]
        names = list(place) if isinstance(place, dict) else list(range(len(place)))
        name = names[choices[-1] % len(names)] if names and (choices[-1] % 7) else key
        if isinstance(place, list) and not isinstance(name, int):
            place.append(value)
        elif remove and name in names:
            del place[name]
        else:
            place[name] = value
        changed = json.dumps(document).encode()
        return len(changed).to_bytes(8, "little") + changed + body[8 + size :] if binary else changed

    return change

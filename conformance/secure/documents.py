"""The documents of `vectors/secure/`, by name.

>>> sorted(DOCUMENTS)[0]
'secure/clipping.json'
"""

from collections.abc import Callable
from typing import Any

from fedrela.conformance.secure import (
    clipping_cases,
    fixed_point_cases,
    message_cases,
    primitive_cases,
    session_cases,
    sharing_cases,
    statement_cases,
)

DOCUMENTS: dict[str, Callable[[], Any]] = {
    "secure/primitives.json": primitive_cases.build,
    "secure/sharing.json": sharing_cases.build,
    "secure/fixed_point.json": fixed_point_cases.build,
    "secure/clipping.json": clipping_cases.build,
    "secure/statements.json": statement_cases.build,
    "secure/messages.json": message_cases.build,
    "secure/session.json": session_cases.build,
}

"""No runtime sees a program that could reach out of its file: see the rules of `onnx_files` and `pte_files` in core.

>>> from fedrela.core.onnx_files import rules
>>> admit({"predict": b""}, rules.check)
Traceback (most recent call last):
...
fedrela.edge.engines.engine.UnloadableProgram: program predict holds 0 graphs; export the model again
"""

from collections.abc import Callable, Mapping

from fedrela.core.errors import InvalidBundle
from fedrela.edge.engines.engine import UnloadableProgram


def admit(programs: Mapping[str, bytes], check: Callable[[bytes, str], None]) -> dict[str, bytes]:
    """The same programs, if a device may load each of them by the rules of its format. Raises UnloadableProgram."""
    for name, body in programs.items():
        try:
            check(body, name)
        except InvalidBundle as fault:
            raise UnloadableProgram(fault.problem, remedy=fault.remedy) from fault
    return dict(programs)

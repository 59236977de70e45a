"""No runtime sees a program that could reach out of its file: see `fedrela.core.onnx_files.rules`.

>>> admit({"predict": b""})
Traceback (most recent call last):
...
fedrela.edge.engines.engine.UnloadableProgram: program predict holds 0 graphs; export the model again
"""

from collections.abc import Mapping

from fedrela.core.errors import InvalidBundle
from fedrela.core.onnx_files import rules
from fedrela.edge.engines.engine import UnloadableProgram


def admit(programs: Mapping[str, bytes]) -> dict[str, bytes]:
    """The same programs, if a device may load each of them. Raises UnloadableProgram."""
    for name, body in programs.items():
        try:
            rules.check(body, name)
        except InvalidBundle as fault:
            raise UnloadableProgram(fault.problem, remedy=fault.remedy) from fault
    return dict(programs)

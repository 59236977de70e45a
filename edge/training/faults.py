"""What a fault means for an assignment: the code that the coordinator is told, and whether it is there at all.

>>> failure_code(AssignmentFailed("timed-out", "the lease ran out"))
'timed-out'
"""

from fedrela.core.errors import (
    FedRelaError,
    IntegrityError,
    InvalidData,
    InvalidMessage,
    MissingDependency,
    Refused,
    Unavailable,
    VerificationFailed,
)
from fedrela.core.wire import FailureCode
from fedrela.edge.engines.engine import UnloadableProgram
from fedrela.edge.training.work import AssignmentFailed


def failure_code(fault: Exception) -> FailureCode:
    """What the coordinator is told of a fault: its kind, never its text."""
    if isinstance(fault, AssignmentFailed):
        return fault.code
    if isinstance(fault, VerificationFailed):
        return "self-test-failed"
    if isinstance(fault, IntegrityError):
        return "integrity-failed"
    if isinstance(fault, MissingDependency | UnloadableProgram | InvalidData):
        return "not-eligible"
    return "training-failed"


def is_away(fault: FedRelaError) -> bool:
    """Whether a fault means that nobody is there, or somebody else: a proxy's error page, the log-in of a network."""
    stranger = isinstance(fault, Refused) and fault.code == f"http-{fault.status}"
    return stranger or isinstance(fault, Unavailable | InvalidMessage)

"""One tree of errors. Each says what is wrong and what to do about it.

FedRelaError
├── InvalidInput            the caller handed over something unusable; nothing was changed
│   ├── InvalidTask         a task file or task message
│   ├── InvalidTensors      tensor bytes, names, shapes, dtypes, or a value that is not finite
│   ├── InvalidMessage      a JSON message of the wire protocol
│   ├── InvalidBundle       a manifest or artifact folder of the wrong form
│   └── InvalidData         local examples: files, labels, pixels
├── IntegrityError          a hash or a signature does not match
├── UnsupportedOperation    a model uses an operation that no exported program can hold
├── VerificationFailed      an exported program and its reference disagree
├── MissingDependency       an optional package is needed and not installed
├── Refused                 the coordinator refused a request, with a code and a status
└── Unavailable             the other side can't be reached or is not ready; trying again later is right

>>> raise InvalidData("label 12 is outside 0..9", remedy="check the class order of the data folder")
Traceback (most recent call last):
...
fedrela.core.errors.InvalidData: label 12 is outside 0..9; check the class order of the data folder
"""


class FedRelaError(Exception):
    """Base of every error this project raises on purpose.

    `problem` states what is wrong; `remedy` what the reader can do about it.
    """

    def __init__(self, problem: str, *, remedy: str) -> None:
        super().__init__(f"{problem}; {remedy}")
        self.problem = problem
        self.remedy = remedy


class InvalidInput(FedRelaError):
    """The caller handed over something that can't be used; nothing was changed."""


class InvalidTask(InvalidInput):
    """A task is malformed or asks for an impossible combination."""


class InvalidTensors(InvalidInput):
    """Tensor bytes don't parse, or a name, shape, dtype or value is wrong."""


class InvalidMessage(InvalidInput):
    """A JSON message of the wire protocol is malformed."""


class InvalidBundle(InvalidInput):
    """An artifact folder or its manifest is malformed."""


class InvalidData(InvalidInput):
    """Local examples can't be used."""


class IntegrityError(FedRelaError):
    """A hash or a signature does not match: the bytes were damaged or forged."""


class UnsupportedOperation(FedRelaError):
    """A model holds an operation that can't be exported."""


class VerificationFailed(FedRelaError):
    """An exported program disagrees with its reference."""


class MissingDependency(FedRelaError):
    """An optional package is needed for this and is not installed."""


class Refused(FedRelaError):
    """The coordinator refused a request.

    `status` is the HTTP status, `code` the stable machine-readable reason (see `fedrela.core.wire`).
    """

    def __init__(self, problem: str, *, remedy: str, code: str, status: int) -> None:
        super().__init__(problem, remedy=remedy)
        self.code = code
        self.status = status


class Unavailable(FedRelaError):
    """The other side can't be reached or isn't ready; trying again later is right."""

"""Structured logs: one JSON object a line on stderr.

What is logged is chosen by name at each call; headers and bodies never are, so no token can be.
"""

import json
import logging
import time

_FORMATTED = {"message", "asctime", "taskName"}  # what formatters leave in a record


class JsonLines(logging.Formatter):
    """time, level, event, then the call's `extra` fields."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z"
        line = {"time": moment, "level": record.levelname.lower(), "event": record.getMessage()}
        # Asked anew for every line: other packages add fields to all records, whenever they are imported.
        own = vars(logging.makeLogRecord({})).keys() | _FORMATTED
        line |= {key: value for key, value in vars(record).items() if key not in own}
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str, ensure_ascii=False)


def install() -> None:
    """Give the coordinator's logger this format, once per process."""
    logger = logging.getLogger("fedrela")
    if logger.handlers:
        return
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines())
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False

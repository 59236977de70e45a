"""Whether somebody knows the admin key; whoever guesses is slowed down and logged, at the login as at the API."""

import logging
import time

from fastapi import Request

from fedrela.coordinator.access import auth
from fedrela.coordinator.api import limits
from fedrela.coordinator.api.limits import RateLimit
from fedrela.coordinator.api.requests import coordinator_of, proved

WRONG_KEYS_AT_ONCE = 20.0  # of one address: an operator's script with an old key, or an operator who mistypes
WRONG_KEYS_PER_SECOND = 1 / 30
log = logging.getLogger("fedrela.coordinator")


def wrong_keys() -> RateLimit:
    """A process's count of wrong keys, by address."""
    return RateLimit(WRONG_KEYS_PER_SECOND, WRONG_KEYS_AT_ONCE)


def is_admin_key(request: Request, key: str) -> bool:
    """Whether this is the admin key. Raises TooMany, whatever the key, for an address that sent too many wrong ones."""
    address, wrong = limits.network_of(limits.address_of(request.scope)), request.app.state.wrong_keys
    wrong.check(address, time.monotonic(), count=False)
    if auth.same(key, coordinator_of(request).settings.admin_key):
        proved(request)
        return True
    wrong.take(address, time.monotonic())
    log.warning("wrong admin key", extra={"address": address, "path": request.scope["path"][:100]})
    return False

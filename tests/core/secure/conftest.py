"""Shared by the tests of secure aggregation: what depends on nothing but its arguments is computed once."""

from functools import lru_cache

import pytest

from fedrela.core import signing
from fedrela.core.secure import ciphers


@pytest.fixture
def remembered(monkeypatch):
    """Keys, keystreams and signatures of the same arguments are computed once: sessions repeat them."""
    for module, name in ((ciphers, "agree"), (ciphers, "derive_key"), (signing, "verify"), (signing, "sign")):
        monkeypatch.setattr(module, name, lru_cache(maxsize=None)(getattr(module, name)))
    keystream = ciphers.keystream
    monkeypatch.setattr(ciphers, "keystream", lru_cache(maxsize=None)(lambda key, size: tuple(keystream(key, size))))

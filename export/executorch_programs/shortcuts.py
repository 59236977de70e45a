"""The way from a flat program to a .pte file without a pass of ExecuTorch's that finds nothing to do.

with shortcuts():
    body = edge.to_executorch(config).buffer  # the same bytes
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from executorch.exir.pass_base import ExportPass
from executorch.exir.passes import spec_prop_pass
from torch.fx import GraphModule
from torch.fx.passes.infra.pass_base import PassResult


@contextmanager
def shortcuts() -> Iterator[None]:
    """Inside: what nodes say of their values is believed."""
    with patch.object(spec_prop_pass, "ExportPass", lambda: _up_to_date):
        yield


def _up_to_date(module: GraphModule) -> Any:
    """The package runs every operator once more, lest an earlier pass left something out of date. The pass before this
    one is `edge.to_edge`, which runs them all; only a loop's body comes in later.
    """
    loops = any(isinstance(child, GraphModule) for child in module.children())
    return ExportPass()(module) if loops else PassResult(module, True)

"""What torch and the exporters raise, as an error of ours: a sentence that names the layer, and what to do.

>>> with refusals("train_step"):
...     1 / 0
Traceback (most recent call last):
...
fedrela.core.errors.UnsupportedOperation: train_step can't be exported (ZeroDivisionError: division by zero); ...
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from torch import nn
from torch._subclasses.fake_tensor import DataDependentOutputException, DynamicOutputShapeException
from torch.fx import GraphModule
from torch.fx.experimental.symbolic_shapes import GuardOnDataDependentSymNode

from fedrela.core.errors import FedRelaError, InvalidInput, UnsupportedOperation
from fedrela.export.tracing.modules import locate

_OF_VALUES = (GuardOnDataDependentSymNode, DataDependentOutputException, DynamicOutputShapeException)
_LONGEST = 200  # characters of somebody else's message
_OTHER_LAYER = "use another layer or operation there (docs/layers.md lists what works)"


@contextmanager
def refusals(what: str, operators: Mapping[str, str] | None = None) -> Iterator[None]:
    """Inside: whatever is raised but errors of ours, and of files, is refused, as that `what` can't be exported.

    operators: which submodule calls which ATen operator, to name it where nothing else tells.
    """
    try:
        yield
    except UnsupportedOperation as error:
        where = locate(error.problem, operators or {})
        if not where or where in error.problem:
            raise
        raise UnsupportedOperation(f"{where}: {error.problem}", remedy=_remedy(where, error.remedy)) from error
    except (FedRelaError, OSError):
        raise
    except Exception as error:
        raise _refusal(error, what, running(error) or locate(str(error), operators or {})) from error


def running(error: BaseException) -> str:
    """The innermost submodule in whose forward pass `error` was raised, with its path; "" if it was in none."""
    modules: list[nn.Module] = []
    place = error.__traceback__
    while place is not None:
        own = place.tb_frame.f_locals.get("self")
        if isinstance(own, nn.Module) and not isinstance(own, GraphModule):
            modules.append(own)
        place = place.tb_next
    if not modules:
        return ""
    path = next((path for path, module in modules[0].named_modules() if module is modules[-1]), "")
    return f"{path or 'the model'} ({type(modules[-1]).__name__})"


def _refusal(error: Exception, what: str, where: str) -> FedRelaError:
    at = f"{where}: " if where else ""
    message = (str(error).splitlines() or [""])[0][:_LONGEST]
    if isinstance(error, _OF_VALUES):
        asked = "" if isinstance(error, GuardOnDataDependentSymNode) else f" ({message})"  # it speaks of symbols
        return UnsupportedOperation(
            f"{at}{what} depends on values, not only on shapes{asked}",
            remedy="replace Python's if, .item() and boolean indexing on tensors by torch.where; where a model leaves "
            "layers out by chance, switch that off (layerdrop=0 in a transformers config)",
        )
    if "modified by an inplace operation" in str(error):
        return InvalidInput(
            f"{at}the model changes a tensor in place that its gradient needs, which eager PyTorch refuses as well",
            remedy="leave inplace=True out of the layer after it",
        )
    if "does not require grad" in str(error):
        return InvalidInput(
            "the loss depends on no trained parameter",
            remedy="choose others to train, and leave out detach() in forward",
        )
    if isinstance(error, MemoryError) or "not enough memory" in str(error):
        return UnsupportedOperation(f"{at}{what} needs more memory than there is", remedy="make the model smaller")
    if isinstance(error, RecursionError):
        return UnsupportedOperation(
            f"{at}{what} is nested more deeply than Python can follow", remedy="make the model less deep"
        )
    return UnsupportedOperation(
        f"{at}{what} can't be exported ({type(error).__name__}: {message})", remedy=_remedy(where, _OTHER_LAYER)
    )


def _remedy(where: str, otherwise: str) -> str:
    if "parametrizations." in where:
        return "take the parametrization off before the export (torch.nn.utils.parametrize.remove_parametrizations)"
    return otherwise

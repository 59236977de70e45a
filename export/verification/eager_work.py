"""All that programs are held against, in eager PyTorch: worked out in processes of its own while programs are traced.

with EagerWork(model, recipe, analysis, manifest, weights, draft) as eager:
    trace_and_lower()
    golden = eager.golden()
    eager.steps()
    eager.repetition()
"""

import copy
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import cached_property, partial
from pathlib import Path
from types import TracebackType
from typing import TypeVar

import torch
from torch import nn

from fedrela.core.bundle import Golden, Manifest
from fedrela.core.tensors import Params
from fedrela.export.recipe import Recipe
from fedrela.export.tracing import running
from fedrela.export.tracing.model_analysis import ModelAnalysis
from fedrela.export.verification import equality, recording, repetition, stability
from fedrela.export.verification.beside import Beside, possible
from fedrela.export.verification.fresh_process import keep_steps
from fedrela.export.verification.reference import Reference

T = TypeVar("T")
_LARGE = 20_000_000  # weights of a net whose eager steps take one thread longer than tracing does: it gets all threads
_LONG = 0.004  # seconds of a forward pass, of which the eager steps are some 250: less than a second isn't worth forks


class EagerWork:
    """The processes; they end with its `with`, whatever happens. What they find is asked for by its methods."""

    def __init__(
        self,
        model: nn.Module,
        recipe: Recipe,
        analysis: ModelAnalysis,
        manifest: Manifest,
        weights: Params,
        draft: Path,
    ) -> None:
        """manifest: without golden results and files; draft: the folder of a bundle that isn't written yet."""
        self._model, self._recipe, self._analysis = model, recipe, analysis
        self._manifest, self._weights, self._draft = manifest, weights, draft
        self._resources = ExitStack()
        self._large = sum(value.size for value in weights.values()) > _LARGE
        self._fork = possible() and not self._large and self._seconds() > _LONG
        self._drawn = self._begin(lambda: recording.draw(*self._references, manifest))
        self._quick = self._begin(partial(self._keep_steps, thorough=False))
        self._repeated = self._begin(lambda: repetition.check(model, recipe, analysis))

    def __enter__(self) -> "EagerWork":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._resources.__exit__(kind, error, traceback)

    def golden(self) -> Golden:
        """Wait for the golden steps, and write their outputs into the draft."""
        drawn, more = self._drawn.result(), stability.MORE_PERTURBATIONS
        halves = (more[::2], more[1::2]) if drawn.unstable else ()  # tracing is over: there are two cores for it
        begun = [self._begin(partial(self._jumps, drawn, directions)) for directions in halves]
        return recording.write(drawn, [found.result() for found in begun], self._draft)

    def steps(self) -> None:
        """Wait for the fresh steps: they are kept in the draft, for runtimes to run."""
        self._quick.result()

    def thorough_steps(self) -> None:
        """The same, and what more roundings make of them."""
        self._keep_steps(thorough=True)

    def repetition(self) -> None:
        """Wait for the model to have been run again and again. Raises VerificationFailed where it differed."""
        self._repeated.result()

    def _begin(self, work: Callable[[], T]) -> Beside[T]:
        return self._resources.enter_context(Beside(work, self._fork, all_threads=self._large))

    def _keep_steps(self, thorough: bool) -> None:
        steps = equality.fresh_steps(*self._references, self._manifest, self._weights, seed=0, thorough=thorough)
        keep_steps(self._draft, steps)

    def _jumps(self, drawn: recording.Drawn, directions: Sequence[int]) -> dict[str, float]:
        return recording.jumps(self._references[0], drawn, directions)

    def _seconds(self) -> float:
        """Of a forward pass."""
        scratch, began = copy.deepcopy(self._model), time.perf_counter()
        running.plain_pass(scratch, self._recipe, None, equality.BATCHES[0], seed=0)
        return time.perf_counter() - began

    @cached_property
    def _references(self) -> tuple[Reference, Reference]:
        """In float32 and in float64."""
        given = (self._model, self._recipe, self._analysis, self._manifest)
        return Reference(*given), Reference(*given, torch.float64)

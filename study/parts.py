"""A part of a study: some seeds, methods, references or settings.

>>> from fedrela.study.config import from_toml
>>> whole = from_toml('name = "a"\\nseeds = [1, 2]\\nmethods = ["fedavg", "focal"]')
>>> narrowed(whole, Only(seeds=(2,), methods=("focal",))).methods
('focal',)
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import TypeVar

from fedrela.study.config import Setting, Study, require

T = TypeVar("T")


@dataclass(frozen=True)
class Only:
    """A part of a study; empty: all of it. The cells are the same ones, so parts add up to the whole.

    Who names a method or a reference gets what is named, and nothing else: naming methods leaves all references out.
    """

    seeds: tuple[int, ...] = ()
    methods: tuple[str, ...] = ()
    references: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()  # a setting's name, or a part of it that no other setting's name has


def narrowed(study: Study, only: Only) -> Study:
    """A part of the study. Raises InvalidStudy for what it does not have, and if nothing is left."""
    seeds = _chosen(study.seeds, only.seeds)
    methods, references = _chosen(study.methods, only.methods), _chosen(study.references, only.references)
    if only.methods or only.references:
        methods, references = methods if only.methods else (), references if only.references else ()
    settings = tuple(_setting(study, text) for text in only.settings) or study.setting
    names = {setting.name for setting in settings}
    variants = tuple(
        replace(
            variant,
            methods=tuple(name for name in variant.methods if name in methods),
            settings=tuple(name for name in variant.settings if name in names),
        )
        for variant in study.variant
        if (not variant.methods or set(variant.methods) & set(methods))
        and (not variant.settings or set(variant.settings) & names)
    )
    kept = {
        name: tuple(seed for seed in found if seed in seeds)
        for name, found in study.only_seeds.items()
        if name in (*methods, *references)
    }
    part = replace(
        study, seeds=seeds, methods=methods, references=references, only_seeds=kept, setting=settings, variant=variants
    )
    runs = [name for name in (*methods, *references) for seed in seeds if part.runs(name, seed)]
    require(bool(runs), "no cell of the study is left", "ask for seeds that these methods or references run with")
    return part


def _chosen(known: tuple[T, ...], asked: Collection[object]) -> tuple[T, ...]:
    """Those of `known` that were asked for, in the study's order; all of them if none was."""
    lost = [str(item) for item in asked if item not in known]
    told = ", ".join(map(str, known)) or "nothing: it has none"
    require(not lost, f"the study has no {', '.join(lost)}", f"choose among {told}")
    return tuple(item for item in known if not asked or item in asked)


def _setting(study: Study, text: str) -> Setting:
    found = [setting for setting in study.setting if setting.name == text]
    found = found or [setting for setting in study.setting if text in setting.name]
    told = ", ".join(repr(setting.name) for setting in study.setting)
    require(len(found) == 1, f"{len(found)} settings of the study are called {text!r}", f"choose one of {told}")
    return found[0]

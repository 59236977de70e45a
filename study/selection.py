"""A part of a study, selected by seeds, methods, references, settings or variants.

>>> from fedrela.study.config import from_toml
>>> whole = from_toml('name = "a"\\nseeds = [1, 2]\\nmethods = ["fedavg", "focal"]')
>>> select(whole, Selection(seeds=(2,), methods=("focal",))).methods
('focal',)
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import TypeVar

from fedrela.study.config import Setting, Study, Variant, require

T = TypeVar("T")
Named = TypeVar("Named", Setting, Variant)


@dataclass(frozen=True)
class Selection:
    """A part of a study; empty: all of it. The cells are the same ones, so parts add up to the whole.

    Who names a method, a variant or a reference gets what is named, and nothing else: naming methods or variants leaves
    all references out.
    """

    seeds: tuple[int, ...] = ()
    methods: tuple[str, ...] = ()
    references: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()  # a setting's name, or a part of it that no other setting's name has
    variants: tuple[str, ...] = ()  # likewise


def select(study: Study, selection: Selection) -> Study:
    """A part of the study. Raises InvalidStudy for what it does not have, and if nothing is left."""
    seeds = _selected(study.seeds, selection.seeds)
    methods, references = _selected(study.methods, selection.methods), _selected(study.references, selection.references)
    trained = bool(selection.methods or selection.variants)
    if trained or selection.references:
        methods, references = methods if trained else (), references if selection.references else ()
    settings = tuple(_named("settings", study.setting, text) for text in selection.settings) or study.setting
    names = {setting.name for setting in settings}
    variants = tuple(
        replace(
            variant,
            methods=tuple(name for name in variant.methods if name in methods),
            settings=tuple(name for name in variant.settings if name in names),
        )
        for variant in (tuple(_named("variants", study.variant, text) for text in selection.variants) or study.variant)
        if (not variant.methods or set(variant.methods) & set(methods))
        and (not variant.settings or set(variant.settings) & names)
    )
    only_seeds = {
        name: tuple(seed for seed in limited if seed in seeds)
        for name, limited in study.only_seeds.items()
        if name in (*methods, *references)
    }
    part = replace(
        study,
        seeds=seeds,
        methods=methods,
        references=references,
        only_seeds=only_seeds,
        setting=settings,
        variant=variants,
    )
    branching = [
        name for name in methods if any(not variant.methods or name in variant.methods for variant in variants)
    ]
    runs = [name for name in (*branching, *references) for seed in seeds if part.runs(name, seed)]
    require(
        bool(runs),
        "no cell of the study is left",
        "ask for seeds and variants that these methods or references run with",
    )
    return part


def _selected(known: tuple[T, ...], names: Collection[object]) -> tuple[T, ...]:
    """Those of `known` that are named, in the study's order; all of them if none is."""
    unknown = [str(item) for item in names if item not in known]
    choices = ", ".join(map(str, known)) or "nothing: it has none"
    require(not unknown, f"the study has no {', '.join(unknown)}", f"choose among {choices}")
    return tuple(item for item in known if not names or item in names)


def _named(kind: str, known: tuple[Named, ...], text: str) -> Named:
    """The one with that name, or else the one whose name has that part."""
    matching = [item for item in known if item.name == text] or [item for item in known if text in item.name]
    choices = ", ".join(repr(item.name) for item in known)
    require(len(matching) == 1, f"{len(matching)} {kind} of the study are called {text!r}", f"choose one of {choices}")
    return matching[0]

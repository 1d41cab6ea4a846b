"""Pipelines: the steps that every sample needs, each at its place."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mimctl.config.checking.case import Case, Part
from mimctl.config.checking.mistake import Mistake, Mistakes
from mimctl.config.values import ConfigDict

_MIX_ARGUMENT = "dataset"
_INNER = ("transforms", "transform")
_PACKS_OF_LOADED = ("PackDetInputs", "PackSegInputs", "Pack3DDetInputs", "PackTextDetInputs", "PackTextRecogInputs")
"""Steps that pack what another step has loaded; other toolboxes' data sets give each sample its label themselves."""


def find_incomplete_pipelines(case: Case) -> Mistakes:
    """Yield pipelines of datasets that lack packing or annotations, or have a step before loading or after packing.

    Only pipelines whose every step is known are looked at.
    """
    for part in case.parts:
        if part.type is None or part.type.kind != "dataset" or not part.path.partition(".")[0].endswith("_dataloader"):
            continue
        pipeline = part.value.get("pipeline")
        if isinstance(pipeline, (list, tuple)) and pipeline:
            yield from _check(case, part, list(pipeline))


def _check(case: Case, part: Part, pipeline: list[Any]) -> Mistakes:
    path = f"{part.path}.pipeline"
    steps = [case.by_path.get(f"{path}.{index}") for index in range(len(pipeline))]
    known = [each for each in steps if each is not None and each.type is not None and each.name is not None]
    if len(known) != len(pipeline):
        return
    names = [str(each.name) for each in known]
    yield from _order(path, names)
    packs = _pack_names(case, part)
    if packs and not _is_wrapped(case, part) and not any(each.startswith("Pack") for each in names):
        yield _lacking(path, packs[0], "the model gets its inputs and labels from it")
    loads = [name for each in known for name in _all_names(each.value)]
    is_whole = "LoadImageFromFile" in loads and any(each in _PACKS_OF_LOADED for each in names)
    has_labels = any(each.startswith("Load") and "Annotations" in each for each in loads)
    if part.path.startswith("train_dataloader") and is_whole and not has_labels:
        yield _lacking(path, "LoadAnnotations", "without it the model would learn from no labels")


def _order(path: str, names: list[str]) -> Mistakes:
    for index, name in enumerate(names):
        if name.startswith("LoadImageFrom") and index and not names[0].startswith("Load"):
            yield _misplaced(f"{path}.0", f"`{names[0]}` comes before `{name}`: there is no image yet")
            return
    packed = next((index for index, name in enumerate(names) if name.startswith("Pack")), len(names))
    if packed < len(names) - 1:
        yield _misplaced(
            f"{path}.{packed + 1}", f"`{names[packed + 1]}` comes after `{names[packed]}`, which ends a pipeline"
        )


def _misplaced(path: str, message: str) -> Mistake:
    return Mistake(path=f"{path}.type", message=message, code="incomplete-pipeline", causes=(f"it is at `{path}`",))


def _lacking(path: str, name: str, why: str) -> Mistake:
    return Mistake(
        path=path,
        message=f"the pipeline `{path}` has no `{name}`",
        code="incomplete-pipeline",
        causes=(why,),
        hints=(f"add `dict(type='{name}')` to it",),
    )


def _pack_names(case: Case, part: Part) -> list[str]:
    """Return the transforms that pack samples in the toolbox of a dataset."""
    scope = part.type.scope if part.type else ""
    names = case.tables.kinds.get(scope, {}).get("transform", {})
    return sorted(each for each in names if each.startswith("Pack"))


def _is_wrapped(case: Case, part: Part) -> bool:
    """Say whether a dataset around this one has a pipeline of its own."""
    path = part.path
    while path:
        path = path.rpartition(".")[0]
        around = case.config.select(path) if path else None
        if isinstance(around, ConfigDict) and "pipeline" in around:
            return True
    return False


def _all_names(value: Any) -> Iterator[str]:
    """Yield the names of a transform and of those inside it."""
    if isinstance(value, ConfigDict):
        if isinstance(value.get("type"), str):
            yield value["type"].rpartition(".")[2]
        elif "type" in value:
            yield str(value["type"]).rpartition(".")[2]
        for key in _INNER:
            yield from _all_names(value.get(key))
    elif isinstance(value, (list, tuple)):
        for each in value:
            yield from _all_names(each)

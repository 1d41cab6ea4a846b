"""The number of classes: of heads, losses and metrics, and of the datasets that they learn from and are measured on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from mimctl.config.checking.case import Case, Part
from mimctl.config.checking.mistake import Mistake, Mistakes, origin_near
from mimctl.config.values import ConfigDict

_MODES = ("train", "val", "test")
_HEADS = ("bbox_head", "mask_head", "roi_head", "head", "decode_head", "auxiliary_head", "query_head", "panoptic_head")
"""Keys whose dicts hold heads of the dataset's classes (a proposal's head has one class, whatever the data)."""
_OTHER_CLASSES = ("rpn_head", "semantic_head", "mask_iou_head", "objectness", "auxiliary_branch")


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """A number of classes and where it stands."""

    number: int
    path: str
    what: str


def find_class_mismatches(case: Case) -> Mistakes:
    """Yield numbers of classes that differ from those of the dataset that the run learns from (else is tested on)."""
    counts = {mode: list(_of_datasets(case, mode)) for mode in _MODES}
    yield from _lists_that_are_text(case)
    yield from _repeated(case)
    data = next((counts[mode] for mode in _MODES if counts[mode]), [])
    numbers = {each.number for each in data}
    if len(numbers) != 1:
        yield from _between(case, data)
        return
    first, heads = data[0], list(_of_heads(case))
    for mode in _MODES[1:] if heads else ():
        yield from (_mismatch(case, each, first) for each in counts[mode][:1] if each.number != first.number)
    for each in (*heads, *_of_metrics(case)):
        if each.number != first.number:
            yield _mismatch(case, each, first)
    yield from _palettes(case)


def _between(case: Case, data: list[Count]) -> Mistakes:
    """Yield the first dataset whose classes are not as many as those of the one it is joined with.

    Models that read the names of classes have no head of a fixed number, and learn from both.
    """
    if not any(_of_heads(case)):
        return
    other = next((each for each in data if each.number != data[0].number), None)
    if other is not None:
        yield _mismatch(case, other, data[0])


def _mismatch(case: Case, count: Count, data: Count) -> Mistake:
    where = origin_near(case.config, data.path)
    return Mistake(
        path=count.path,
        message=f"{count.what} has {count.number} classes, and {data.what} has {data.number}",
        code="class-mismatch",
        causes=(
            f"`{count.path}` says {count.number}",
            f"`{data.path}` says {data.number}{f', at {where}' if where else ''}",
        ),
        hints=("set `num_classes` of every head, and `metainfo=dict(classes=(…))` of every dataset, alike",),
    )


def _of_datasets(case: Case, mode: str) -> Iterator[Count]:
    """Yield the number of classes of each dataset of a mode that holds samples itself."""
    for part in case.below(f"{mode}_dataloader"):
        if part.kinds != ("dataset",):
            continue
        classes = _classes(part.value)
        if isinstance(classes, (list, tuple)):
            yield Count(number=len(classes), path=f"{part.path}.metainfo.classes", what=f"the dataset of `{mode}`")
        elif part.type is not None and classes is None and not ({"dataset", "datasets"} & set(part.value)):
            number = part.type.facts.get("num_classes")
            if number is not None:
                yield Count(number=number, path=f"{part.path}.type", what=f"`{part.name}`, the dataset of `{mode}`,")


def _classes(dataset: ConfigDict) -> Any:
    metainfo = dataset.get("metainfo")
    return metainfo.get("classes") if isinstance(metainfo, ConfigDict) else None


def _of_heads(case: Case) -> Iterator[Count]:
    """Yield what heads say, of whatever type; models that read the names of classes have tokens in place of classes."""
    if case.config.select("model.language_model") is not None:
        return
    for part in case.below("model"):
        if not _is_head(part.path):
            continue
        number = part.value.get("num_classes", part.type.default("num_classes") if part.type else None)
        if isinstance(number, int) and not isinstance(number, bool):
            path = f"{part.path}.num_classes" if "num_classes" in part.value else f"{part.path}.type"
            yield Count(number=number, path=path, what=f"`{part.name}` at `{part.path}`")


def _is_head(path: str) -> bool:
    names = [each for each in path.split(".") if not each.isdigit()]
    return names[-1] in _HEADS and not set(names) & set(_OTHER_CLASSES)


def _of_metrics(case: Case) -> Iterator[Count]:
    for mode in ("val", "test"):
        for part in case.below(f"{mode}_evaluator"):
            number = part.value.get("num_classes")
            if part.type is not None and part.type.kind == "metric" and type(number) is int:
                yield Count(number=number, path=f"{part.path}.num_classes", what=f"`{part.name}` at `{part.path}`")
    number = case.config.select("data_preprocessor.num_classes")
    if type(number) is int and "data_preprocessor" in case.by_path and case.by_path["data_preprocessor"].type:
        yield Count(number=number, path="data_preprocessor.num_classes", what="`data_preprocessor`")


def _lists_that_are_text(case: Case) -> Mistakes:
    """Yield classes that are one text where a list of names was meant: `classes=('cat')`."""
    for part in _datasets(case):
        classes = _classes(part.value)
        if isinstance(classes, str) and "." not in classes and "/" not in classes:
            yield Mistake(
                path=f"{part.path}.metainfo.classes",
                message=f"the classes of `{part.path}` are the text {classes!r}, not a list of names",
                code="class-mismatch",
                hints=(f"write `classes=({classes!r},)`: the comma makes the list",),
            )


def _repeated(case: Case) -> Mistakes:
    for part in _datasets(case):
        classes = _classes(part.value)
        if isinstance(classes, (list, tuple)) and all(isinstance(each, str) for each in classes):
            twice = next((each for index, each in enumerate(classes) if each in classes[:index]), None)
            if twice is not None:
                yield Mistake(
                    path=f"{part.path}.metainfo.classes",
                    message=f"the classes of `{part.path}` name `{twice}` twice",
                    code="class-mismatch",
                )


def _palettes(case: Case) -> Mistakes:
    for part in _datasets(case):
        classes, metainfo = _classes(part.value), part.value.get("metainfo")
        palette = metainfo.get("palette") if isinstance(metainfo, ConfigDict) else None
        if isinstance(classes, (list, tuple)) and isinstance(palette, (list, tuple)) and len(palette) < len(classes):
            yield Mistake(
                path=f"{part.path}.metainfo.palette",
                message=f"the palette of `{part.path}` has {len(palette)} colours for {len(classes)} classes",
                code="class-mismatch",
                causes=(f"`{part.path}.metainfo.classes` says {len(classes)}",),
            )


def _datasets(case: Case) -> Iterator[Part]:
    for mode in _MODES:
        for part in case.below(f"{mode}_dataloader"):
            if part.kinds == ("dataset",):
                yield part

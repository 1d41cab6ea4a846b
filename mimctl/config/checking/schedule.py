"""Schedules: parts that never act, because they end before they begin, or count what the run does not."""

from __future__ import annotations

from typing import Any

from mimctl.config.checking.case import Case, Part
from mimctl.config.checking.mistake import Mistake, Mistakes

_BY_EPOCH = "by_epoch"


def find_idle_schedules(case: Case) -> Mistakes:
    """Yield schedulers that never change anything."""
    for part in case.below("param_scheduler"):
        if part.type is not None and part.type.kind == "param_scheduler":
            yield from _ends_before_it_begins(part)
            yield from _is_out_of_order(part)


def find_mixed_units(case: Case) -> Mistakes:
    """Yield parts that count epochs where the loop counts iterations, or both at once."""
    loop = case.by_path.get("train_cfg")
    if loop is None or loop.name not in ("EpochBasedTrainLoop", "IterBasedTrainLoop"):
        return
    counts_epochs = loop.name == "EpochBasedTrainLoop"
    given = loop.value.get(_BY_EPOCH)
    if isinstance(given, bool) and given is not counts_epochs:
        yield _contradiction(f"train_cfg.{_BY_EPOCH}", f"`train_cfg.by_epoch` is {given}, and `type` is {loop.name}")
    elif "max_epochs" in loop.value and "max_iters" in loop.value:
        other = "max_iters" if counts_epochs else "max_epochs"
        yield _contradiction(f"train_cfg.{other}", "`train_cfg` has `max_epochs` and `max_iters`: a run has one length")
    if counts_epochs:
        return
    for part in case.parts:
        if part.type is not None and _counts_epochs(part):
            message = f"`{part.name}` at `{part.path}` counts epochs, and this run has iterations alone"
            yield Mistake(
                path=f"{part.path}.{_BY_EPOCH}" if _BY_EPOCH in part.value else part.path,
                message=message,
                code="contradiction",
                causes=("`by_epoch` is True unless it is set, so it would never act",),
                hints=(f"write `by_epoch=False`, or `--cfg-options {part.path}.by_epoch=False`",),
            )


def _counts_epochs(part: Part) -> bool:
    found = part.type
    if found is None or _BY_EPOCH not in found.params or not part.value.get(_BY_EPOCH, True):
        return False
    if found.kind == "param_scheduler":
        if part.value.get("by_optimizer_step") and _BY_EPOCH not in part.value:
            return False
        return part.path.startswith("param_scheduler")
    return part.path == "default_hooks.checkpoint"


def _ends_before_it_begins(part: Part) -> Mistakes:
    begin, end = _number(part.value.get("begin", 0)), _number(part.value.get("end"))
    if begin is not None and end is not None and begin >= end:
        path = f"{part.path}.{'end' if end <= 0 or 'begin' not in part.value else 'begin'}"
        message = f"`{part.name}` at `{part.path}` begins at {begin:g} and ends at {end:g}, so it never acts"
        yield Mistake(path=path, message=message, code="contradiction", causes=(f"`begin={begin:g}`, `end={end:g}`",))


def _is_out_of_order(part: Part) -> Mistakes:
    given = part.value.get("milestones")
    if not isinstance(given, (list, tuple)) or not all(_number(each) is not None for each in given):
        return
    if list(given) != sorted(given):
        message = f"the `milestones` of `{part.path}` do not grow: {list(given)}"
        yield Mistake(path=f"{part.path}.milestones", message=message, code="bad-value")


def _contradiction(path: str, message: str) -> Mistake:
    return Mistake(path=path, message=message, code="contradiction")


def _number(value: Any) -> float | None:
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None

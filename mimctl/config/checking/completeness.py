"""Keys that belong together: a validation has data, a metric and a loop; a run goes on from one checkpoint."""

from __future__ import annotations

from mimctl.config.checking.case import Case
from mimctl.config.checking.mistake import Mistake, Mistakes


def find_halves(case: Case) -> Mistakes:
    """Yield validations, tests and trainings of which one part is there and another is not.

    A file without a model is a part of other configs.
    """
    config = case.config
    if config.get("model") is None:
        return
    for mode in ("val", "test"):
        yield from _half_evaluation(case, mode)
    if config.get("train_dataloader") is None:
        return
    lacking = [key for key in ("train_cfg", "optim_wrapper") if config.get(key) is None]
    if len(lacking) == 1:
        yield _half(case, "train_dataloader", lacking[0], "training needs both")


def find_contradicting_checkpoints(case: Case) -> Mistakes:
    """Yield a run that is to go on from one checkpoint and to start from another."""
    resume, load_from = case.config.get("resume"), case.config.get("load_from")
    if isinstance(resume, str) and resume not in ("", "auto") and load_from and resume != load_from:
        yield Mistake(
            path="resume",
            message=f"`resume` and `load_from` name two checkpoints: `{resume}` and `{load_from}`",
            code="contradiction",
            causes=(f"`load_from` is set at {case.config.origin('load_from')}",),
            hints=("leave `load_from` out to go on; leave `resume` out to start anew from weights",),
        )


def _half_evaluation(case: Case, mode: str) -> Mistakes:
    config = case.config
    names = {part: f"{mode}_{part}" for part in ("dataloader", "cfg", "evaluator")}
    has = {part: config.get(key) is not None for part, key in names.items()}
    is_whole = any(config.get(f"{each}_dataloader") is not None for each in ("train", "val", "test"))
    if has["evaluator"] and not has["dataloader"] and (is_whole or names["dataloader"] in config):
        yield _half(case, names["evaluator"], names["dataloader"], "a metric needs data")
    elif has["dataloader"] and not has["evaluator"] and (has["cfg"] or names["evaluator"] not in config):
        yield _half(case, names["dataloader"], names["evaluator"], "data are evaluated by metrics")
    elif has["dataloader"] and has["evaluator"] and not has["cfg"] and names["cfg"] in config:
        yield _half(case, names["dataloader"], names["cfg"], f"write `{names['cfg']} = dict()` for the usual loop")


def _half(case: Case, there: str, lacking: str, why: str) -> Mistake:
    return Mistake(
        path=lacking if lacking in case.config else there,
        message=f"the config has `{there}` and no `{lacking}`",
        code="incomplete",
        causes=(why, f"`{there}` is set at {case.config.origin(there)}"),
        hints=(f"add `{lacking}`, or set all that belongs to it to None",),
    )

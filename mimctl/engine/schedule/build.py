"""From the config's `param_scheduler` to schedulers of an optimizer wrapper."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mimctl.engine.optim.wrapper import OptimWrapper
from mimctl.engine.optim.wrapper_dict import OptimWrapperDict
from mimctl.engine.registry import PARAM_SCHEDULERS
from mimctl.engine.schedule.base import INF, ParamScheduler
from mimctl.errors import ConfigError, did_you_mean, nearest


@dataclass(frozen=True, slots=True, kw_only=True)
class RunLengths:
    """How long a run is, as far as it is known."""

    epoch_length: int = 0
    """Iterations of an epoch; 0 where the dataloader does not know."""
    max_epochs: int | None = None
    max_iters: int | None = None


Schedulers = list[ParamScheduler] | dict[str, list[ParamScheduler]]


def build_param_schedulers(cfg: Any, optim_wrapper: OptimWrapper, *, lengths: RunLengths = RunLengths()) -> Schedulers:
    """Build the schedulers of one optimizer (a list) or of several (a dict of lists by wrapper name).

    A scheduler without `end` ends with the run. `convert_to_iter_based` turns one that counts epochs into one that
    counts iterations, along the same curve; `by_optimizer_step` lets one count steps of the optimizer.
    """
    if not isinstance(optim_wrapper, OptimWrapperDict):
        return _build_list(cfg, optim_wrapper, lengths)
    is_by_name = isinstance(cfg, Mapping) and "type" not in cfg
    for name in cfg if is_by_name else ():
        if name not in optim_wrapper:
            raise ConfigError(
                f"`param_scheduler` is for an optimizer `{name}`, which there is not",
                hints=[
                    *did_you_mean(nearest(name, list(optim_wrapper.keys()))),
                    f"there is {', '.join(optim_wrapper.keys())}",
                ],
            )
    return {
        name: _build_list(cfg.get(name) if is_by_name else cfg, wrapper, lengths)
        for name, wrapper in optim_wrapper.items()
    }


def flat(schedulers: Schedulers) -> list[ParamScheduler]:
    """Return all schedulers as one list."""
    if isinstance(schedulers, list):
        return schedulers
    return [each for group in schedulers.values() for each in group]


def _build_list(cfg: Any, wrapper: OptimWrapper, lengths: RunLengths) -> list[ParamScheduler]:
    if cfg is None:
        return []
    entries = cfg if isinstance(cfg, Sequence) else [cfg]
    return [_build_one(each, wrapper, lengths) for each in entries]


def _build_one(cfg: Any, wrapper: OptimWrapper, lengths: RunLengths) -> ParamScheduler:
    if isinstance(cfg, ParamScheduler):
        return cfg
    if not isinstance(cfg, Mapping):
        raise ConfigError(f"a `param_scheduler` must be a dict, got {type(cfg).__name__}")
    options = dict(cfg)
    converts = options.pop("convert_to_iter_based", False)
    counts_steps = options.pop("by_optimizer_step", False)
    if options.get("end") is None:
        options.pop("end", None)
    if counts_steps:
        if converts or options.setdefault("by_epoch", False):
            raise ConfigError("`by_optimizer_step` counts no epochs: leave `by_epoch` and `convert_to_iter_based` out")
        return _counting_steps(options, wrapper, lengths)
    _end_with_the_run(options, lengths.max_epochs if options.get("by_epoch", True) else lengths.max_iters)
    if converts:
        return _converted(options, wrapper, lengths.epoch_length)
    built: ParamScheduler = PARAM_SCHEDULERS.build(options, optimizer=wrapper)
    return built


def _counting_steps(options: dict[str, Any], wrapper: OptimWrapper, lengths: RunLengths) -> ParamScheduler:
    """Build a scheduler whose steps are the optimizer's: of several iterations where gradients are accumulated."""
    per_step = wrapper.accumulative_counts
    _end_with_the_run(options, None if lengths.max_iters is None else -(-lengths.max_iters // per_step))
    built: ParamScheduler = PARAM_SCHEDULERS.build(options, optimizer=wrapper)
    built.by_optimizer_step = True
    return built


def _converted(options: dict[str, Any], wrapper: OptimWrapper, epoch_length: int) -> ParamScheduler:
    kind = options.pop("type")
    cls = PARAM_SCHEDULERS.get(kind) if isinstance(kind, str) else kind
    if cls is None:
        PARAM_SCHEDULERS.build({"type": kind})
    options.setdefault("end", INF)
    converted: ParamScheduler = cls.build_iter_from_epoch(wrapper, epoch_length=epoch_length, **options)
    return converted


def _end_with_the_run(options: dict[str, Any], length: int | None) -> None:
    if length is not None:
        options.setdefault("end", max(length, options.get("begin", 0) + 1))

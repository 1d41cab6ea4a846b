"""From the config's `param_scheduler` to schedulers of an optimizer wrapper."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mimctl.engine.optim.wrapper import OptimWrapper
from mimctl.engine.optim.wrapper_dict import OptimWrapperDict
from mimctl.engine.registry import PARAM_SCHEDULERS
from mimctl.engine.schedule.base import INF, ParamScheduler
from mimctl.errors import ConfigError


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

    A scheduler without `end` ends with the run.
    """
    if not isinstance(optim_wrapper, OptimWrapperDict):
        return _build_list(cfg, optim_wrapper, lengths)
    is_by_name = isinstance(cfg, Mapping) and "type" not in cfg
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
    convert = options.pop("convert_to_iter_based", False)
    if options.get("end") is None:
        options.pop("end", None)
    length = lengths.max_epochs if options.get("by_epoch", True) else lengths.max_iters
    if length is not None:
        options.setdefault("end", max(length, options.get("begin", 0) + 1))
    if not convert:
        built: ParamScheduler = PARAM_SCHEDULERS.build(options, optimizer=wrapper)
        return built
    kind = options.pop("type")
    cls = PARAM_SCHEDULERS.get(kind) if isinstance(kind, str) else kind
    if cls is None:
        PARAM_SCHEDULERS.build({"type": kind})
    options.setdefault("end", INF)
    converted: ParamScheduler = cls.build_iter_from_epoch(wrapper, epoch_length=lengths.epoch_length, **options)
    return converted

"""How a model is run: its precision, its seed, its wrapper, in MMEngine's names."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from enum import IntEnum
from typing import Any, TypeVar

import torch
from torch import nn
from torch.nn.parallel import DataParallel, DistributedDataParallel

from mimctl.engine.hooks.hook import PRIORITIES
from mimctl.engine.random import choose_seed, seed_everything
from mimctl.engine.ranks import distributed
from mimctl.engine.ranks.parallel import DistributedModel
from mimctl.engine.registry import MODEL_WRAPPERS, Registry

T = TypeVar("T")

MMDistributedDataParallel = DistributedModel

Priority = IntEnum("Priority", dict(PRIORITIES))  # type: ignore[misc]
"""The named priorities of hooks, as numbers."""


@contextlib.contextmanager
def autocast(
    device_type: str | None = None,
    dtype: torch.dtype | None = None,
    enabled: bool = True,
    cache_enabled: bool | None = None,
) -> Iterator[None]:
    """Run a block in mixed precision on a device type, by default the one that the runner computes on."""
    kind = device_type or distributed.get_device().type
    with torch.autocast(kind, dtype=dtype, enabled=enabled, cache_enabled=cache_enabled):
        yield


def set_random_seed(seed: int | None = None, deterministic: bool = False, diff_rank_seed: bool = False) -> int:
    """Seed Python, numpy and torch and return the seed; None draws one that all ranks share."""
    chosen = choose_seed() if seed is None else int(seed)
    rank = distributed.get_rank() if diff_rank_seed else 0
    seed_everything(chosen + rank, deterministic=deterministic)
    return chosen + rank


def is_model_wrapper(model: nn.Module, registry: Registry = MODEL_WRAPPERS) -> bool:
    """Say whether a module is a wrapper around a model (`.module`), one of torch's or a registered one."""
    known = tuple(each for each in registry.module_dict.values() if isinstance(each, type))
    return isinstance(model, (DistributedDataParallel, DataParallel, *known))


def has_batch_norm(model: nn.Module) -> bool:
    """Say whether a model has a batch norm of any kind."""
    return any(isinstance(each, nn.modules.batchnorm._BatchNorm) for each in model.modules())


def force_full_init(old_func: Callable[..., T]) -> Callable[..., T]:
    """Decorate a method of a dataset that needs its annotations: they are loaded first where that is still to do."""

    @functools.wraps(old_func)
    def loaded(self: Any, *args: Any, **kwargs: Any) -> T:
        if not getattr(self, "_fully_initialized", False):
            self.full_init()
        return old_func(self, *args, **kwargs)

    return loaded

"""From a `…_dataloader` config to a torch DataLoader whose samples do not depend on the number of workers."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Mapping, Sized
from functools import partial
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from mimctl.config.values import LazyReference
from mimctl.engine.data.collate import pseudo_collate
from mimctl.engine.data.dataset import BaseDataset
from mimctl.engine.data.failures import FetchTogether, PassFailures
from mimctl.engine.data.handover import FillMemories, HandOver, Loader
from mimctl.engine.data.randomness import seeded
from mimctl.engine.data.worker_signals import StartWorker
from mimctl.engine.data.wrappers import DatasetWrapper
from mimctl.engine.lookup.scopes import StartInScope
from mimctl.engine.lookup.toolboxes import name_of_reference
from mimctl.engine.ranks.distributed import get_rank, get_world_size
from mimctl.engine.registry import DATA_SAMPLERS, DATASETS, FUNCTIONS
from mimctl.errors import ConfigError, MimctlError


def build_dataloader(
    cfg: Mapping[str, Any] | DataLoader[Any], *, seed: int, diff_rank_seed: bool = False
) -> DataLoader[Any]:
    """Build a DataLoader from `dataset`, `sampler`, `batch_sampler`, `collate_fn` and DataLoader's own arguments.

    `seed` is the run's seed, the same on every rank: it orders the samples and seeds each of them.
    `diff_rank_seed` only changes what transforms draw that are seeded by worker (samplers that yield plain integers).
    `num_batch_per_epoch` shortens the dataset (for trying a config out). A DataLoader is returned as it is.
    Raises ConfigError where a needed key is missing, MimctlError[empty-dataset] where no sample is left.
    """
    if isinstance(cfg, DataLoader):
        return cfg
    options = dict(cfg)
    dataset = _build_dataset(options.pop("dataset", None))
    limit = options.pop("num_batch_per_epoch", None)
    if limit is not None:
        size = min(len(dataset), limit * options.get("batch_size", 1) * get_world_size())
        dataset = _SeededSamples(dataset, size)
    _require_samples(dataset)
    sampler = _build_sampler(options.pop("sampler", None), dataset, seed)
    batch_sampler = _build_batch_sampler(options.pop("batch_sampler", None), sampler, options)
    workers = int(options.get("num_workers", 0))
    rank = get_rank() if diff_rank_seed else 0
    _fit_options(options, workers)
    return Loader(
        dataset=dataset,
        sampler=sampler if batch_sampler is None else None,
        batch_sampler=batch_sampler,
        collate_fn=HandOver(PassFailures(_build_collate(options.pop("collate_fn", None)))),
        worker_init_fn=_build_worker_init(options.pop("worker_init_fn", None), workers, rank, seed),
        seed=seed,
        **options,
    )


@FUNCTIONS.register_module()  # type: ignore[untyped-decorator]
def worker_init_fn(
    worker_id: int, num_workers: int, rank: int, seed: int, disable_subprocess_warning: bool = False
) -> None:
    """Seed a worker's global generators by its number and keep OpenCV in it to one thread."""
    worker_seed = num_workers * rank + worker_id + seed
    np.random.seed(worker_seed & 0xFFFFFFFF)
    random.seed(worker_seed)
    torch.default_generator.manual_seed(worker_seed)
    cv2 = sys.modules.get("cv2")
    if cv2 is not None:
        cv2.setNumThreads(0)
    if disable_subprocess_warning and worker_id != 0:
        import warnings

        warnings.simplefilter("ignore")


class _SeededSamples(FetchTogether, Dataset[Any]):
    """A dataset of another family with each sample seeded; everything else is asked of the dataset itself."""

    def __init__(self, dataset: Any, size: int | None = None) -> None:
        self.dataset = dataset
        self.size = size

    def __len__(self) -> int:
        return len(self.dataset) if self.size is None else self.size

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "dataset":
            raise AttributeError(name)
        return getattr(self.dataset, name)

    def __getitem__(self, idx: int) -> Any:
        with seeded(idx):
            return self.dataset[idx]


def _build_dataset(cfg: Any) -> Any:
    if cfg is None:
        raise ConfigError("a dataloader needs `dataset`", code="missing-argument")
    dataset = DATASETS.build(cfg)
    if hasattr(dataset, "full_init"):
        dataset.full_init()
    is_ours = isinstance(dataset, BaseDataset | DatasetWrapper)
    return dataset if is_ours or not hasattr(dataset, "__getitem__") else _SeededSamples(dataset)


def _require_samples(dataset: Dataset[Any] | Sized) -> None:
    if isinstance(dataset, Sized) and len(dataset) == 0:
        dataset = dataset.dataset if isinstance(dataset, _SeededSamples) else dataset
        source = getattr(dataset, "ann_file", "") or getattr(dataset, "data_root", "")
        raise MimctlError(
            f"no sample is left in {type(dataset).__name__}" + (f" of {source}" if source else ""),
            code="empty-dataset",
            causes=[f"filter_cfg is {getattr(dataset, 'filter_cfg', None)}"],
            hints=["look at filter_cfg, the class names in metainfo, and the annotation file"],
        )


def _build_sampler(cfg: Any, dataset: Any, seed: int) -> Any:
    if cfg is None:
        raise ConfigError(
            "a dataloader needs `sampler`",
            code="missing-argument",
            hints=["sampler=dict(type='DefaultSampler', shuffle=True)"],
        )
    return DATA_SAMPLERS.build(cfg, dataset=dataset, seed=seed) if isinstance(cfg, Mapping) else cfg


def _build_batch_sampler(cfg: Any, sampler: Any, options: dict[str, Any]) -> Any:
    if cfg is None:
        if "batch_size" not in options:
            raise ConfigError("a dataloader needs `batch_size`", code="missing-argument")
        return None
    batch_size = options.pop("batch_size", 1)
    drop_last = options.pop("drop_last", False)
    if not isinstance(cfg, Mapping):
        return cfg
    return DATA_SAMPLERS.build(cfg, sampler=sampler, batch_size=batch_size, drop_last=drop_last)


def _fit_options(options: dict[str, Any], workers: int) -> None:
    # `num_workers=0` on the command line should not need three more overrides.
    if workers == 0:
        for key in ("persistent_workers", "prefetch_factor", "timeout", "multiprocessing_context"):
            options.pop(key, None)
    if options.get("pin_memory") and not torch.cuda.is_available():
        options["pin_memory"] = False


def _build_collate(cfg: Any) -> Callable[[list[Any]], Any]:
    if cfg is None:
        cfg = pseudo_collate
    return _function(cfg)


def _build_worker_init(cfg: Any, workers: int, rank: int, seed: int) -> Callable[[int], None] | None:
    if workers == 0:
        return None
    facts = {"num_workers": workers, "rank": rank, "seed": seed}
    start = worker_init_fn if cfg is None else _function(cfg)
    return FillMemories(StartInScope(StartWorker(partial(start, **facts))))


def _function(cfg: Any) -> Callable[..., Any]:
    if callable(cfg):
        found: Callable[..., Any] = cfg
        return found
    arguments = {"type": cfg} if isinstance(cfg, (str, LazyReference)) else dict(cfg)
    name = arguments.pop("type", None)
    if isinstance(name, LazyReference):
        name = name_of_reference(name)
    function = FUNCTIONS.get(name) if isinstance(name, str) else name
    if not callable(function):
        raise ConfigError(
            f"unknown function `{name}`", code="unknown-type", causes=["looked for a registered function"]
        )
    return partial(function, **arguments) if arguments else function

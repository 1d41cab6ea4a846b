"""Turn the scalars of the message hub into one log line and one record."""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch

from mimctl.engine.ranks import distributed
from mimctl.engine.registry import LOG_PROCESSORS

if TYPE_CHECKING:
    from mimctl.engine.runner import Runner

Scalars = dict[str, Any]

_AHEAD = ("lr", "time", "data_time", "samples_per_s", "memory")
"""What stands first in a line, in a form of its own."""


@LOG_PROCESSORS.register_module()
class LogProcessor:
    """Choose what a log line shows and how it is averaged.

    Scalars whose name matches `mean_pattern` are averaged over the last `window_size` iterations (and over all
    ranks), others shown as they are last. `custom_cfg`: [dict(data_src='loss', method_name='mean', window_size=…,
    log_name=…), …]; `window_size` may be an int or 'epoch' or 'global', which mean the whole remembered history.
    """

    def __init__(
        self,
        window_size: int = 10,
        by_epoch: bool = True,
        custom_cfg: Sequence[Mapping[str, Any]] | None = None,
        num_digits: int = 4,
        log_with_hierarchy: bool = False,
        mean_pattern: str = r".*(loss|time|data_time|grad_norm).*",
    ) -> None:
        self.window_size = window_size
        self.by_epoch = by_epoch
        self.custom_cfg = [dict(each) for each in custom_cfg or ()]
        self.num_digits = num_digits
        self.log_with_hierarchy = log_with_hierarchy
        self.mean_pattern = re.compile(mean_pattern)

    def get_log_after_iter(self, runner: Runner, batch_idx: int, mode: str) -> tuple[Scalars, str]:
        """Return the record and the log line after an iteration of `mode`."""
        scalars = self._averaged(runner, mode)
        if mode == "train":
            # Ranks have the same number of training batches, not of others: only here do all of them come along.
            scalars = distributed.mean_by_name(scalars)
            scalars = {"lr": _first_lr(runner), **scalars, **_throughput(runner, scalars.get("time", 0.0))}
        device_memory = _memory(runner)
        line = [self._place(runner, batch_idx, mode)]
        if mode == "train":
            line.append(f"lr: {scalars['lr']:.4e}")
        eta = runner.message_hub.get_info("eta") if mode == "train" else self._eta(runner, batch_idx, mode, scalars)
        if eta is not None:
            line.append(f"eta: {datetime.timedelta(seconds=int(eta))}")
        for name in ("time", "data_time"):
            if name in scalars:
                line.append(f"{name}: {scalars[name]:.{self.num_digits}f}")
        if "samples_per_s" in scalars:
            line.append(f"samples_per_s: {scalars['samples_per_s']:.1f}")
        if device_memory is not None:
            scalars["memory"] = device_memory
            line.append(f"memory: {device_memory}")
        shown = [name for name in scalars if name not in _AHEAD]
        line += [f"{name}: {scalars[name]:.{self.num_digits}f}" for name in shown if mode == "train"]
        if mode == "train":
            scalars.update(epoch=runner.epoch + 1, iter=runner.iter + 1)
        return scalars, "  ".join(line)

    def get_log_after_epoch(
        self,
        runner: Runner,
        batch_idx: int,
        mode: str,
        with_non_scalar: bool = False,
        *,
        metrics: Mapping[str, Any] | None = None,
    ) -> tuple[Scalars, str]:
        """Return the record and the log line after a validation or test of `batch_idx` batches.

        Without `metrics` they are those in the message hub, as a metric's owner put them there (`val/…`).
        """
        if metrics is None:
            kept = runner.message_hub.log_scalars.items()
            metrics = {key.removeprefix(f"{mode}/"): each.current() for key, each in kept if key.startswith(f"{mode}/")}
        averaged = distributed.mean_by_name(self._averaged(runner, mode))
        scalars = {**metrics, **{name: value for name, value in averaged.items() if "time" in name}}
        shown = [
            f"{name}: {value:.{self.num_digits}f}" if isinstance(value, float) else f"{name}: {value}"
            for name, value in metrics.items()
        ]
        counted = f"[{runner.epoch if runner.is_by_epoch else runner.iter}]" if mode == "val" else ""
        unit = "Epoch" if runner.is_by_epoch else "Iter"
        return scalars, "  ".join([f"{unit}({mode}) {counted}[{batch_idx}/{batch_idx}]", *shown])

    def _averaged(self, runner: Runner, mode: str) -> Scalars:
        histories = {
            key.removeprefix(f"{mode}/"): history
            for key, history in runner.message_hub.log_scalars.items()
            if key.startswith(f"{mode}/")
        }
        values: dict[str, float] = {}
        for name, history in histories.items():
            if mode == "train" or "time" in name:
                method = "mean" if self.mean_pattern.fullmatch(name) else "current"
                values[name] = history.statistics(method, self.window_size)
        for cfg in self.custom_cfg:
            name = cfg["data_src"]
            if name in histories:
                window = cfg.get("window_size", self.window_size)
                window = window if isinstance(window, int) else None
                values[cfg.get("log_name", name)] = histories[name].statistics(cfg.get("method_name", "mean"), window)
        return values

    def _place(self, runner: Runner, batch_idx: int, mode: str) -> str:
        if mode != "train":
            loader = (runner.val_loop if mode == "val" else runner.test_loop).dataloader
            return f"Epoch({mode}) [{runner.epoch}][{batch_idx + 1}/{len(loader)}]"
        if runner.is_by_epoch:
            steps = len(runner.train_loop.dataloader)
            return f"Epoch(train) [{runner.epoch + 1}][{batch_idx + 1:>{len(str(steps))}}/{steps}]"
        return f"Iter(train) [{runner.iter + 1:>{len(str(runner.max_iters))}}/{runner.max_iters}]"

    def _eta(self, runner: Runner, batch_idx: int, mode: str, scalars: Scalars) -> float | None:
        loader = (runner.val_loop if mode == "val" else runner.test_loop).dataloader
        return float(scalars["time"]) * (len(loader) - batch_idx - 1) if "time" in scalars else None


def _first_lr(runner: Runner) -> float:
    rates = runner.optim_wrapper.get_lr()
    values = rates.get("base_lr") or rates.get("lr") or next(iter(rates.values()))
    return values[0]


def _throughput(runner: Runner, time: float) -> dict[str, float]:
    """Return how many samples all ranks train on in a second; nothing where the size of a batch is not known."""
    loader = runner.train_loop.dataloader
    size = getattr(loader.batch_sampler, "batch_size", None) or loader.batch_size
    return {"samples_per_s": size * runner.world_size / time} if size and time > 0 else {}


def _memory(runner: Runner) -> int | None:
    """Return the largest share of GPU memory in use so far, in MiB."""
    if runner.device.type != "cuda":
        return None
    return int(torch.cuda.max_memory_allocated() / 2**20)

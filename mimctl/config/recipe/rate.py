"""Changes the batch size and the learning rate of a config, and keeps a warm-up from outlasting a short run."""

from __future__ import annotations

from typing import Any

from mimctl.config.config import Config
from mimctl.config.values import ConfigDict
from mimctl.errors import ConfigError

Overrides = dict[str, Any]


def set_batch(config: Config, batch: int) -> Overrides:
    """Return the overrides for `batch` images a rank and step; evaluation never takes more than training.

    The learning rate stays: `--auto-scale-lr` and `--lr` change it. Raises ConfigError[not-applicable].
    """
    if batch < 1:
        raise ConfigError("a batch must hold at least one image", code="not-applicable")
    if not isinstance(config.get("train_dataloader"), ConfigDict):
        raise ConfigError("this config has no train_dataloader", code="not-applicable")
    changes: Overrides = {}
    path = "train_dataloader.batch_size"
    sampler = config.select("train_dataloader.batch_sampler.batch_size")
    if isinstance(sampler, int):
        changes["train_dataloader.batch_sampler.batch_size"] = batch
    if config.select(path) != batch:
        changes[path] = batch
    for split in ("val", "test"):
        held = config.select(f"{split}_dataloader.batch_size")
        if isinstance(held, int) and held > batch:
            changes[f"{split}_dataloader.batch_size"] = batch
    return changes


def set_lr(config: Config, lr: float) -> Overrides:
    """Return the overrides for a learning rate; rates at which schedulers end or peak move in proportion.

    Raises ConfigError[not-applicable] where the config has no single `optim_wrapper.optimizer.lr`.
    """
    old = config.select("optim_wrapper.optimizer.lr")
    if lr <= 0:
        raise ConfigError("a learning rate must be above 0", code="not-applicable")
    if not isinstance(old, (int, float)) or old <= 0:
        raise ConfigError(
            "this config has no `optim_wrapper.optimizer.lr`",
            code="not-applicable",
            hints=["set the rates of its optimizers with `--cfg-options`"],
            origin=config.origin("optim_wrapper"),
        )
    changes: Overrides = {"optim_wrapper.optimizer.lr": lr}
    for path, scheduler in _schedulers(config):
        for key in ("eta_min", "eta_max", "min_value"):
            value = scheduler.get(key)
            if isinstance(value, (int, float)) and not isinstance(value, bool) and value > 0:
                changes[f"{path}.{key}"] = float(f"{value * lr / old:.12g}")
    if config.get("base_lr") == old:
        changes["base_lr"] = lr
    return {path: value for path, value in changes.items() if config.select(path) != value}


def limit_warmup(config: Config, *, steps_per_epoch: int, fraction: float = 0.1) -> Overrides:
    """Return the overrides that end a warm-up counted in iterations after at most `fraction` of all steps.

    A published config warms up for 500 or 1,000 iterations of a large dataset; on a small one that may be longer than
    the whole run. `steps_per_epoch` is the number of batches in an epoch.
    """
    epochs = config.select("train_cfg.max_epochs")
    if not isinstance(epochs, int):
        return {}
    most = max(2, round(epochs * steps_per_epoch * fraction))  # a warm-up of one iteration would never reach the rate
    changes: Overrides = {}
    for path, scheduler in _schedulers(config):
        end = scheduler.get("end")
        is_warmup = scheduler.get("by_epoch", True) is False and scheduler.get("begin", 0) == 0
        if is_warmup and isinstance(end, int) and most < end:
            changes[f"{path}.end"] = most
    return changes


def _schedulers(config: Config) -> list[tuple[str, ConfigDict]]:
    held = config.get("param_scheduler")
    if isinstance(held, ConfigDict):
        return [("param_scheduler", held)]
    many = held if isinstance(held, (list, tuple)) else []
    return [(f"param_scheduler.{index}", each) for index, each in enumerate(many) if isinstance(each, ConfigDict)]

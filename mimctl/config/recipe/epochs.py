"""Changes how many epochs a config trains, moving everything that is counted in epochs in proportion."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from mimctl.config.config import Config
from mimctl.config.values import ConfigDict, copy_value, walk
from mimctl.errors import ConfigError

Overrides = dict[str, Any]
_FEW_EPOCHS = 10
_MOMENTS = frozenset({"switch_epoch", "action_epoch", "begin_epoch", "end_epoch"})
_LENGTHS = frozenset({"num_last_epochs", "stage2_num_epochs", "num_stages_epochs"})


def set_epochs(config: Config, epochs: int) -> Overrides:
    """Return the overrides that train for `epochs` (at least 1) instead of the config's own number.

    Scheduler phases, milestones, the moments at which hooks switch, and the intervals of validation and checkpoints
    move in proportion; phases that come out empty are dropped. Raises ConfigError[not-applicable] for a config that
    counts iterations.
    """
    old = config.select("train_cfg.max_epochs")
    if epochs < 1:
        raise ConfigError("the number of epochs must be at least 1", code="not-applicable")
    if not isinstance(old, int) or old < 1:
        raise ConfigError(
            "this config does not count epochs",
            code="not-applicable",
            hints=["set the iterations: `--cfg-options train_cfg.max_iters=…`"],
            origin=config.origin("train_cfg"),
        )
    changes: Overrides = {"train_cfg.max_epochs": epochs}
    changes.update(_schedulers(config, old, epochs))
    changes.update(_hooks(config, old, epochs))
    changes.update(_intervals(config, old, epochs))
    changes.update(_variables(config, old, epochs))
    return {path: value for path, value in changes.items() if config.select(path, _ABSENT) != value}


_ABSENT = object()


def move(moment: int, old: int, new: int) -> int:
    """Return where a moment of an `old`-epoch run lies in a `new`-epoch run: start and end stay start and end.

    In runs of ten epochs or more nothing else falls on the very start or end. Moments far beyond the end stay.
    """
    if moment == 0 or moment > 10 * old:
        return moment
    if moment >= old:
        return round(moment * new / old)
    moved = round(moment * new / old)
    return min(max(moved, 1), new - 1) if new >= _FEW_EPOCHS else moved


def _length(length: int, old: int, new: int) -> int:
    return max(1, min(round(length * new / old), new))


def _schedulers(config: Config, old: int, new: int) -> Overrides:
    held = config.get("param_scheduler")
    many = list(held) if isinstance(held, (list, tuple)) else [held]
    changes: Overrides = {}
    kept: list[Any] = []
    for index, scheduler in enumerate(many):
        if not isinstance(scheduler, ConfigDict):
            continue
        moved = _scheduler(scheduler, old, new)
        path = f"param_scheduler.{index}" if isinstance(held, (list, tuple)) else "param_scheduler"
        changes.update({f"{path}.{key}": value for key, value in moved.items()})
        whole = copy_value(scheduler)
        whole.set_all(moved)
        if not moved or whole.get("begin", 0) < whole.get("end", new + 1):
            kept.append(whole)
    if isinstance(held, (list, tuple)) and len(kept) < len(many):
        return {"param_scheduler": kept}
    return changes


def _scheduler(scheduler: ConfigDict, old: int, new: int) -> Overrides:
    """Return the changed arguments of one scheduler that counts epochs."""
    if scheduler.get("by_epoch", True) is False:
        return {}
    changes: Overrides = {
        key: move(scheduler[key], old, new) for key in ("begin", "end") if isinstance(scheduler.get(key), int)
    }
    begin, end = scheduler.get("begin", 0), scheduler.get("end", old)
    rules: dict[str, Callable[[Any], Any]] = {
        "T_max": lambda value: _period(value, begin, end, old, new),
        "milestones": lambda values: [max(1, min(round(each * new / old), max(new - 1, 1))) for each in values],
        "periods": lambda values: [_length(each, old, new) for each in values],
        "step_size": lambda value: _length(value, old, new),
        "total_steps": lambda value: _length(value, old, new),
    }
    for key, rule in rules.items():
        if scheduler.get(key) is not None:
            changes[key] = rule(scheduler[key])
    return changes


def _period(period: int, begin: int, end: int, old: int, new: int) -> int:
    """Return the moved T_max: still the length of the phase where it was, else in proportion."""
    if period == end - begin:
        return max(1, move(end, old, new) - move(begin, old, new))
    return max(1, move(period, old, new))


def _hooks(config: Config, old: int, new: int) -> Overrides:
    changes: Overrides = {}
    for root in ("default_hooks", "custom_hooks"):
        for path, each in walk(config.get(root), root):
            for key, value in each.items():
                if not isinstance(value, int) or isinstance(value, bool):
                    continue
                if key in _MOMENTS:
                    changes[f"{path}.{key}"] = move(value, old, new)
                elif key in _LENGTHS:
                    changes[f"{path}.{key}"] = min(_length(value, old, new), max(new - 1, 1))
    return changes


def _intervals(config: Config, old: int, new: int) -> Overrides:
    changes: Overrides = {}
    for path, by_epoch in (
        ("train_cfg.val_interval", True),
        ("default_hooks.checkpoint.interval", config.select("default_hooks.checkpoint.by_epoch", True)),
    ):
        value = config.select(path)
        if isinstance(value, int) and value > 0 and by_epoch is not False:
            changes[path] = _interval(value, old, new)
    dynamic = config.select("train_cfg.dynamic_intervals")
    if isinstance(dynamic, (list, tuple)):
        changes["train_cfg.dynamic_intervals"] = type(dynamic)(
            type(pair)((move(pair[0], old, new), *pair[1:])) for pair in dynamic
        )
    begin = config.select("train_cfg.val_begin")
    if isinstance(begin, int) and begin > 1:
        changes["train_cfg.val_begin"] = max(1, move(begin, old, new))
    return changes


def _interval(interval: int, old: int, new: int) -> int:
    """Return an interval that is no longer in proportion and divides `new`, so that the last epoch is met."""
    wanted = max(1, min(interval, round(interval * new / old)))
    return next(each for each in range(wanted, 0, -1) if new % each == 0)


def _variables(config: Config, old: int, new: int) -> Overrides:
    return dict(_moved_variables(config, old, new))


def _moved_variables(config: Config, old: int, new: int) -> Iterator[tuple[str, int]]:
    """Yield the config's own variables that the values above were written with."""
    if config.get("max_epochs") == old:
        yield "max_epochs", new
    for key in _LENGTHS & set(config):
        if isinstance(config[key], int):
            yield key, new - move(old - config[key], old, new) if config[key] < old else new

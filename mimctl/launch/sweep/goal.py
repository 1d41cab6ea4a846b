"""What makes a trial better than another: a metric of its validations."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mimctl.config.metric_rule import rule_of
from mimctl.errors import ConfigError, UsageError, did_you_mean, nearest
from mimctl.launch.processes.events import EventReader
from mimctl.launch.sweep.model import Direction, Sweep, Trial


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """A metric, and whether the smallest or the largest is the best."""

    metric: str
    direction: Direction

    def cost(self, metrics: Mapping[str, Any]) -> float | None:
        """Return the metric as a number of which the smallest is the best, None where it is no finite number."""
        value = metrics.get(self.metric)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
            return None
        return float(value) if self.direction == "min" else -float(value)


def goal_of(sweep: Sweep, metrics: Mapping[str, Any]) -> Goal:
    """Return the goal of a sweep whose validations tell `metrics`.

    Raises UsageError[unknown-field] where its metric is not among them or there are none, UsageError where neither
    `--direction` nor the name says which end is the better one.
    """
    names = list(metrics)
    if sweep.metric is not None and sweep.metric not in metrics:
        raise UsageError(
            f"the trials tell no `{sweep.metric}`",
            code="unknown-field",
            causes=[f"they tell {', '.join(f'`{each}`' for each in names) or 'nothing'}"],
            hints=did_you_mean(nearest(sweep.metric, names)),
        )
    if not names:
        raise UsageError("the trials tell no metric", code="unknown-field", hints=["validate in the training"])
    metric = sweep.metric or names[0]
    return Goal(metric=metric, direction=sweep.direction or direction_of(metric))


def direction_of(metric: str) -> Direction:
    """Return which end of a metric is the better one, by its name; raise UsageError where that does not tell."""
    try:
        return "max" if rule_of(metric) == "greater" else "min"
    except ConfigError as err:
        raise UsageError(err.message, hints=["`--direction min` or `--direction max`"]) from err


def best_of(sweep: Sweep, trials: Sequence[Trial]) -> tuple[Goal | None, Trial | None]:
    """Return the goal and the best trial of those that are done, None where nothing says so."""
    told: Mapping[str, Any] = next((each.metrics for each in trials if each.metrics), {})
    try:
        goal = goal_of(sweep, told)
    except UsageError:
        return None, None
    costs = {each.number: goal.cost(each.metrics) for each in trials if each.phase == "done"}
    known = {number: cost for number, cost in costs.items() if cost is not None}
    best = min(known, key=lambda number: known[number]) if known else None
    return goal, next((each for each in trials if each.number == best), None)


class Validations:
    """The validations of a trial, each told once and in turn, from its first start on."""

    def __init__(self, run_dir: Path) -> None:
        self._events = EventReader(run_dir / "events.jsonl")
        self._seen: set[int] = set()

    def new(self) -> Iterator[tuple[int, Mapping[str, Any]]]:
        """Yield those that came since the last call: which one it is, from 1, and its event.

        One that is done anew after a restart counts once.
        """
        for event in self._events.read():
            iteration = event.get("iter")
            if event.get("event") != "metrics" or event.get("phase") != "val" or iteration in self._seen:
                continue
            self._seen.add(int(iteration or 0))
            yield len(self._seen), event

"""The trials of a sweep as a table or a CSV file."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mimctl.errors import UsageError, did_you_mean, nearest
from mimctl.launch.sweep.model import Sweep, Trial, points_of, read_sweep, trials_of


def load(folder: Path) -> tuple[Sweep, list[Trial]]:
    """Return a sweep and what has become of its trials."""
    sweep = read_sweep(folder)
    return sweep, trials_of(folder, points_of(folder, sweep))


def head(sweep: Sweep, trials: Sequence[Trial]) -> list[str]:
    """Return the columns: trial, state, the axes, every metric that some trial reports."""
    return ["trial", "state", *sweep.axes, *dict.fromkeys(name for each in trials for name in each.metrics)]


def rows(sweep: Sweep, trials: Sequence[Trial]) -> list[list[Any]]:
    """Return a row for each trial, None where it has no such metric."""
    metrics = head(sweep, trials)[2 + len(sweep.axes) :]
    return [
        [each.number, each.phase, *(each.point[path] for path in sweep.axes), *map(each.metrics.get, metrics)]
        for each in trials
    ]


def ordered(sweep: Sweep, trials: Sequence[Trial], by: str | None) -> list[Trial]:
    """Return the trials by a column, ascending, with `-` before it descending; those without a value come last.

    Raises UsageError[unknown-field] for a column that is not there.
    """
    if by is None:
        return list(trials)
    name, is_falling = by.removeprefix("-"), by.startswith("-")
    columns = head(sweep, trials)
    if name not in columns:
        raise UsageError(f"the sweep has no `{name}`", code="unknown-field", hints=did_you_mean(nearest(name, columns)))
    place = columns.index(name)
    keyed = list(zip(trials, (row[place] for row in rows(sweep, trials)), strict=True))
    there = [each for each in keyed if isinstance(each[1], (int, float))]
    there.sort(key=lambda each: each[1], reverse=is_falling)
    return [trial for trial, _ in there] + [trial for trial, value in keyed if not isinstance(value, (int, float))]


def to_csv(sweep: Sweep, trials: Sequence[Trial]) -> str:
    """Return the table as CSV (RFC 4180)."""
    stream = io.StringIO()
    writer = csv.writer(stream)
    writer.writerow(head(sweep, trials))
    writer.writerows(["" if cell is None else cell for cell in row] for row in rows(sweep, trials))
    return stream.getvalue()


def measure_of(sweep: Sweep, trials: Sequence[Trial], metric: str | None = None) -> str:
    """Return the metric to be drawn: the one that is named, what the sweep judges by, else the first one.

    Raises UsageError[unknown-field] where no trial tells it.
    """
    names = list(dict.fromkeys(name for each in trials for name in each.metrics))
    chosen = metric or sweep.metric or next(iter(names), None)
    if chosen is None or chosen not in names:
        missing = f"tells `{chosen}`" if chosen is not None else "has told a metric"
        raise UsageError(
            f"no trial {missing}", code="unknown-field", hints=did_you_mean(nearest(chosen, names) if chosen else [])
        )
    return chosen

"""A sweep on the disk: its definition, and one folder for each trial."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from mimctl.errors import MimctlError
from mimctl.files import write_text
from mimctl.launch.model import LaunchPlan
from mimctl.launch.runs.files import read_json
from mimctl.launch.runs.record import read_record
from mimctl.launch.runs.state import RunState, states_of
from mimctl.launch.sweep.axes import Axes, Point, Range, points

FILE_NAME = "sweep.json"
SCHEMA_VERSION = 2
POINT = "point.json"
"""In a trial's folder: what was drawn for it."""
PRUNED = "pruned"
"""In a trial's folder, once it was stopped because others did better."""

Sampler = Literal["grid", "random", "tpe", "asha"]
JUDGING = ("tpe", "asha")
"""Those that have to know which trial is the better one."""
Direction = Literal["min", "max"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepOptions:
    """How a grid or a space is walked, as a person says it."""

    sampler: Sampler = "grid"
    trials: int | None = None
    """How many a sampler draws in all."""
    metric: str | None = None
    direction: Direction | None = None
    max_jobs: int = 1
    """So many at a time."""
    seed: int | None = None
    """Of each training, and of what is drawn."""
    amp: bool = False
    dry_run: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """What a sweep was asked for; the same question asked again goes on with it."""

    plugin: str
    config: str
    axes: Axes
    cfg_options: tuple[str, ...] = ()
    sampler: Sampler = "grid"
    metric: str | None = None
    """What was named as the measure; None stands for the first metric that a validation tells."""
    direction: Direction | None = None
    schema_version: int = SCHEMA_VERSION

    def write(self, folder: Path) -> None:
        """Write the definition into the sweep's folder."""
        axes = {path: _range_data(axis) if isinstance(axis, Range) else list(axis) for path, axis in self.axes.items()}
        write_text(folder / FILE_NAME, json.dumps({**asdict(self), "axes": axes}, indent=1) + "\n", mode=0o666)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One point and what has become of its training."""

    number: int
    point: Point
    state: RunState | None
    """None where it has not been started."""
    pruned: Mapping[str, Any] | None = None
    """When a trial was stopped because others did better: after how many validations."""

    @property
    def phase(self) -> str:
        """Return the state in a word."""
        if self.state is None:
            return "waiting"
        found = self.state.phase
        if found in ("waiting", "running"):
            return found
        if self.pruned is not None:
            return "pruned"
        # Whoever watched it was killed before it could write down how it ended.
        is_whole = self.state.result is not None and "unfinished" not in self.state.result
        return "done" if found in ("stopped", "unknown") and is_whole else found

    @property
    def is_going(self) -> bool:
        """Return whether it was started and has not ended, as far as can be said."""
        return self.state is not None and self.state.may_go_on and self.phase not in ("done", "pruned")

    @property
    def metrics(self) -> Mapping[str, Any]:
        """Return the metrics of the last validation."""
        if self.state is None:
            return {}
        told = (self.state.result or {}).get("metrics")
        return told if isinstance(told, Mapping) and told else self.state.metrics


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepResult:
    """A sweep and its trials by their numbers."""

    folder: Path
    sweep: Sweep
    trials: Sequence[Trial]
    plans: Sequence[LaunchPlan] = ()
    """What a dry run would start."""
    script: str | None = None
    """The one batch script of these, where they would be one array."""
    job_id: str | None = None


def read_sweep(folder: Path) -> Sweep:
    """Return the sweep of a folder; raise MimctlError[no-sweep] where there is none that this mimctl reads."""
    path = folder / FILE_NAME
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if data["schema_version"] != SCHEMA_VERSION:
            raise ValueError(f"it is of schema {data['schema_version']}, this mimctl reads {SCHEMA_VERSION}")
        axes = {path: Range(**axis) if isinstance(axis, dict) else axis for path, axis in data["axes"].items()}
        return Sweep(**{**data, "axes": axes, "cfg_options": tuple(data["cfg_options"])})
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as err:
        raise MimctlError(f"there is no sweep in `{folder}`", code="no-sweep", causes=[str(err)]) from err


def trial_dir(folder: Path, number: int) -> Path:
    """Return a trial's work dir."""
    return folder / "trials" / f"{number:04d}"


def run_dir(folder: Path, number: int) -> Path:
    """Return the folder of a trial's run: always the same one, so that an array of jobs finds it by its number."""
    return trial_dir(folder, number) / "run"


def write_point(folder: Path, number: int, point: Point) -> None:
    """Write down what was drawn for a trial."""
    write_text(trial_dir(folder, number) / POINT, json.dumps(dict(point)) + "\n", mode=0o666)


def write_pruned(folder: Path, number: int, *, validations: int) -> None:
    """Write down that a trial was stopped after so many validations."""
    text = json.dumps({"validations": validations})
    write_text(trial_dir(folder, number) / PRUNED, text + "\n", mode=0o666)


def points_of(folder: Path, sweep: Sweep) -> list[Point]:
    """Return the points of a sweep by the numbers of their trials: all of a grid, what was drawn by a sampler."""
    if sweep.sampler == "grid":
        return list(points(sweep.axes))
    found: list[Point] = []
    while (point := read_json(trial_dir(folder, len(found)) / POINT)) is not None:
        found.append(point)
    return found


def trials_of(folder: Path, points: Sequence[Point]) -> list[Trial]:
    """Return what has become of each point; Slurm is asked once for all of them."""
    return _trials(folder, list(enumerate(points)))


def trial_of(folder: Path, number: int, point: Point) -> Trial:
    """Return what has become of one point."""
    return _trials(folder, [(number, point)])[0]


def described(trial: Trial, total: int) -> str:
    """Return how a trial ended, in a line."""
    numbers = {name: value for name, value in trial.metrics.items() if isinstance(value, (int, float))}
    shown = "  ".join(f"{name} {value:.4g}" for name, value in numbers.items())
    error = trial.state.error if trial.state is not None else None
    why = f": {error.get('message')}" if error else ""
    return f"trial {trial.number} of {total}: {trial.phase}{why}  {shown}".rstrip()


def _trials(folder: Path, points: Sequence[tuple[int, Point]]) -> list[Trial]:
    records = {number: read_record(run_dir(folder, number)) for number, _ in points}
    there = [number for number, record in records.items() if record is not None]
    states = dict(zip(there, states_of([each for each in records.values() if each is not None]), strict=True))
    return [
        Trial(
            number=number,
            point=point,
            state=states.get(number),
            pruned=read_json(trial_dir(folder, number) / PRUNED),
        )
        for number, point in points
    ]


def _range_data(axis: Range) -> dict[str, Any]:
    return {"low": axis.low, "high": axis.high, "is_log": axis.is_log}

"""A sweep on the disk: its definition, and one folder for each trial."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mimctl.errors import MimctlError
from mimctl.files import write_text
from mimctl.launch.runs.record import RunRecord, read_record
from mimctl.launch.runs.state import RunState, states_of

FILE_NAME = "sweep.json"
SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """What a sweep was asked for; the same question asked again goes on with it."""

    plugin: str
    config: str
    axes: Mapping[str, list[Any]]
    cfg_options: tuple[str, ...] = ()
    schema_version: int = SCHEMA_VERSION

    def write(self, folder: Path) -> None:
        """Write the definition into the sweep's folder."""
        write_text(folder / FILE_NAME, json.dumps(asdict(self), indent=1) + "\n")


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One point of the grid and what has become of its training."""

    number: int
    point: Mapping[str, Any]
    state: RunState | None
    """None where it has not been started."""

    @property
    def phase(self) -> str:
        """Return the state in a word."""
        return self.state.phase if self.state is not None else "waiting"

    @property
    def metrics(self) -> Mapping[str, Any]:
        """Return the metrics of the last validation."""
        if self.state is None:
            return {}
        told = (self.state.result or {}).get("metrics")
        return told if isinstance(told, Mapping) and told else self.state.metrics


def read_sweep(folder: Path) -> Sweep:
    """Return the sweep of a folder; raise MimctlError[no-sweep] where there is none that this mimctl reads."""
    path = folder / FILE_NAME
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if data["schema_version"] != SCHEMA_VERSION:
            raise ValueError(f"it is of schema {data['schema_version']}, this mimctl reads {SCHEMA_VERSION}")
        return Sweep(**{**data, "cfg_options": tuple(data["cfg_options"])})
    except (OSError, ValueError, KeyError, TypeError) as err:
        raise MimctlError(f"there is no sweep in `{folder}`", code="no-sweep", causes=[str(err)]) from err


def trial_dir(folder: Path, number: int) -> Path:
    """Return a trial's work dir."""
    return folder / "trials" / f"{number:04d}"


def run_dir(folder: Path, number: int) -> Path:
    """Return the folder of a trial's run: always the same one, so that an array of jobs finds it by its number."""
    return trial_dir(folder, number) / "run"


def trials_of(folder: Path, points: list[dict[str, Any]]) -> list[Trial]:
    """Return what has become of each point; Slurm is asked once for all of them."""
    records: list[RunRecord | None] = [read_record(run_dir(folder, number)) for number in range(len(points))]
    states = iter(states_of([each for each in records if each is not None]))
    return [
        Trial(number=number, point=point, state=None if records[number] is None else next(states))
        for number, point in enumerate(points)
    ]

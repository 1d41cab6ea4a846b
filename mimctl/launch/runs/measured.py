"""What the runs of a work dir have measured of a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from mimctl.launch.processes.events import EventReader
from mimctl.launch.runs.files import read_json


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Metrics of a checkpoint, and whether a test or the validation beside its training found them."""

    metrics: Mapping[str, Any]
    by: Literal["test", "val"]


def toolbox_of(work_dir: Path) -> str | None:
    """Return the toolbox whose runs lie in a work dir, that of the newest run; None where there is none."""
    return next((str(spec["plugin"]) for _, spec in _runs(work_dir) if spec.get("plugin")), None)


def training_of(work_dir: Path) -> Mapping[str, Any]:
    """Return the specification of the newest training in a work dir, empty where there is none."""
    return next((spec for _, spec in _runs(work_dir) if spec.get("action") == "train"), {})


def log_of(work_dir: Path) -> Path | None:
    """Return the scalars that the newest training in a work dir has logged, one JSON object a line."""
    trainings = (folder for folder, spec in _runs(work_dir) if spec.get("action") == "train")
    path = next(trainings, work_dir) / "vis_data" / "scalars.json"
    return path if path.is_file() else None


def find_measured(work_dir: Path, checkpoint: Path, iteration: int | None) -> Measured | None:
    """Return the metrics of a checkpoint: of its newest test, else of the validation at `iteration`."""
    runs = list(_runs(work_dir))
    for folder, spec in runs:
        named = spec.get("checkpoint")
        if spec.get("action") == "test" and named and Path(named) == checkpoint and not spec["options"].get("tta"):
            metrics = (read_json(folder / "result.json") or {}).get("metrics")
            if metrics:
                return Measured(metrics=metrics, by="test")
    for folder, spec in runs:
        if spec.get("action") != "train" or iteration is None:
            continue
        for event in EventReader(folder / "events.jsonl").read():
            if event.get("event") == "metrics" and event.get("phase") == "val" and event.get("iter") == iteration:
                return Measured(metrics=event["metrics"], by="val")
    return None


def _runs(work_dir: Path) -> list[tuple[Path, Mapping[str, Any]]]:
    """Return (folder, specification) of the runs in a work dir, the newest first."""
    found = [(path.parent, read_json(path)) for path in sorted(work_dir.glob("*/spec.json"), reverse=True)]
    return [(folder, spec) for folder, spec in found if spec is not None]

"""The work dir of a training: one live run at a time, an earlier run's files kept under its timestamp."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

from mimctl.engine.running.run_lock import LOCK_NAME, locked

__all__ = ["LOCK_NAME", "locked", "put_earlier_run_away"]

_STAMP = re.compile(r"\d{8}_\d{6}(_\d+)?$")
_RESULTS = ("*.pth", "*.safetensors", "last_checkpoint", "*.py")


def put_earlier_run_away(work_dir: Path, *, keep: Path | None = None, run_dir: Path | None = None) -> Path | None:
    """Move the files of an earlier run into its timestamp folder and return that folder, None if there was none.

    Moved are checkpoints, the pointer to the last one, and configs; `keep` (this run's config) stays, `run_dir` is
    this run's own folder.
    """
    found = [path for pattern in _RESULTS for path in sorted(work_dir.glob(pattern)) if path.is_file()]
    moved = [path for path in found if keep is None or path.resolve() != keep.resolve()]
    if not any(path.suffix != ".py" for path in moved):
        return None
    target = _earlier_folder(work_dir, run_dir) or work_dir / _stamp_of(moved)
    target.mkdir(exist_ok=True)
    for path in moved:
        place = target / path.name
        number = 1
        while place.exists():
            place = target / f"{path.stem}-{number}{path.suffix}"
            number += 1
        path.rename(place)
    return target


def _earlier_folder(work_dir: Path, run_dir: Path | None) -> Path | None:
    folders = sorted(path for path in work_dir.iterdir() if path.is_dir() and _STAMP.fullmatch(path.name))
    earlier = [path for path in folders if run_dir is None or path.resolve() != run_dir.resolve()]
    trainings = [path for path in earlier if _action(path) in (None, "train")]
    return trainings[-1] if trainings else None


def _action(folder: Path) -> str | None:
    try:
        return str(json.loads((folder / "spec.json").read_text(encoding="utf-8"))["action"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _stamp_of(paths: list[Path]) -> str:
    newest = max(path.stat().st_mtime for path in paths)
    return time.strftime("%Y%m%d_%H%M%S", time.localtime(newest))

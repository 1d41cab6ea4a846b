"""Who looks after trials: this machine or Slurm."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from mimctl.launch.sweep.axes import Point
from mimctl.launch.sweep.bench import Bench
from mimctl.launch.sweep.here import Here, end_orphan, visible_names
from mimctl.launch.sweep.jobs import Jobs
from mimctl.launch.sweep.model import Trial, trials_of
from mimctl.launch.sweep.queue import Going


def taken_up(folder: Path, points: Sequence[Point]) -> list[Trial]:
    """Return the trials; those that a killed sweep has left running on this machine are ended, to be started again."""
    trials = trials_of(folder, points)
    orphans = [each.state.record for each in trials if each.state and each.is_going and not each.state.record.job_id]
    for record in orphans:
        end_orphan(record)
    return trials_of(folder, points) if orphans else trials


def adopt(trial: Trial, jobs: Jobs) -> Going:
    """Return a trial that an earlier sweep has submitted; one that it was about to cancel is cancelled."""
    assert trial.state is not None
    going = jobs.watch(trial.number, trial.state.record)
    if trial.pruned is not None:
        going.give_up()
    return going


def hand_here(bench: Bench) -> Here:
    """Return who starts trials on this machine, on the GPUs that it shows."""
    shown = os.environ.get("CUDA_VISIBLE_DEVICES")
    return Here(visible_names(bench.place.visible_gpus, shown))

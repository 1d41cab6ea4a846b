"""Who looks after trials: this machine or Slurm."""

from __future__ import annotations

import os

from mimctl.launch.sweep.bench import Bench
from mimctl.launch.sweep.here import Here, Orphan, visible_names
from mimctl.launch.sweep.jobs import Jobs
from mimctl.launch.sweep.model import Trial
from mimctl.launch.sweep.queue import Going


def adopt(trial: Trial, jobs: Jobs) -> Going:
    """Return a trial that an earlier sweep has left running."""
    assert trial.state is not None
    record = trial.state.record
    return jobs.watch(trial.number, record) if record.job_id is not None else Orphan(trial.number, record)


def hand_here(bench: Bench) -> Here:
    """Return who starts trials on this machine, on the GPUs that it shows."""
    shown = os.environ.get("CUDA_VISIBLE_DEVICES")
    return Here(visible_names(bench.place.visible_gpus, shown))

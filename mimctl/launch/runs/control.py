"""Stop runs, and go on with them."""

from __future__ import annotations

import os
import signal
import sys
from dataclasses import replace
from pathlib import Path

from mimctl.errors import MimctlError
from mimctl.launch.model import LaunchPlan, Listener, Outcome, Silence
from mimctl.launch.place import Workplace
from mimctl.launch.runs.book import RunBook
from mimctl.launch.runs.files import CANCELLED
from mimctl.launch.runs.record import RunRecord, argv_with
from mimctl.launch.runs.state import RunState, state_of
from mimctl.launch.slurm import client
from mimctl.spec import RunSpec


def cancel(record: RunRecord) -> RunState:
    """Stop a run and return its state as it was.

    Raises MimctlError[not-running] where it has ended, [slurm-refused] where Slurm does not answer.
    """
    state = state_of(record)
    if not state.may_go_on:
        causes = [f"it is {state.phase}" + (f": {state.note}" if state.note else "")]
        raise MimctlError(f"run `{record.run_id}` is not running", code="not-running", causes=causes)
    if record.job_id is not None:
        client.cancel(record.job_id)
        (record.folder / CANCELLED).touch()
    elif record.pid is not None:
        (record.folder / CANCELLED).touch()
        os.kill(record.pid, signal.SIGTERM)
    return state


def resume(
    record: RunRecord, book: RunBook, *, detach: bool, listener: Listener | None, nodes_dir: Path | None = None
) -> tuple[Outcome | None, RunRecord]:
    """Start a run again from its newest checkpoint, in its own folder and under its own id.

    A job is held against what is known in `nodes_dir` of its partition. Raises MimctlError[still-running],
    [nothing-to-resume], NoCompatibleBuildError[unfit-partition].
    """
    from mimctl.launch.start import begin

    state = state_of(record)
    if state.may_go_on:
        raise MimctlError(
            f"run `{record.run_id}` has not ended" + ("" if state.has_answer else ", as far as can be said"),
            code="still-running",
            causes=[state.note or f"it is {state.phase}"],
            hints=[f"stop it first: `mimctl cancel {record.run_id}`"],
        )
    if record.action != "train":
        raise MimctlError(f"run `{record.run_id}` is no training, but `{record.action}`", code="nothing-to-resume")
    if not (record.folder / "resume.json").is_file() and (record.folder / "spec.json").is_file():
        raise MimctlError(
            f"run `{record.run_id}` was started by `{record.plugin}`, which has scripts of its own",
            code="nothing-to-resume",
            hints=["start it again with the option that its script has for this"],
        )
    if not (record.folder / "resume.json").is_file():
        raise MimctlError(f"the files of run `{record.run_id}` are gone", code="nothing-to-resume")
    plan = _plan(record)
    if record.job_id is not None and record.python is not None and nodes_dir is not None:
        _require_fit(plan, Path(record.python), nodes_dir)
    return begin(plan, record, book=book, detach=detach, listener=listener or Silence())


def _require_fit(plan: LaunchPlan, python: Path, nodes_dir: Path) -> None:
    """Hold the job's environment, which may have changed since, against what is known of its partition's nodes."""
    from mimctl.launch.job import require_fit_again
    from mimctl.plugin.paths import import_paths

    paths = import_paths(None if python == Path(sys.executable) else python)
    place = Workplace(python=python, source="the run", paths=paths, plugins=(), nodes_dir=nodes_dir)
    require_fit_again(plan.spec.launcher, plan.argv[2:-1], place)


def _plan(record: RunRecord) -> LaunchPlan:
    spec_path = record.folder / "resume.json"
    script = record.folder / "job.sbatch"
    environment = dict(record.environment)
    if record.job_id is not None:
        environment["MIMCTL_RESUME"] = "1"
    else:
        record = replace(record, argv=argv_with(record, spec_path))
    return LaunchPlan(
        spec=RunSpec.read(spec_path),
        spec_path=spec_path,
        argv=record.argv,
        environment=environment,
        unset=record.unset,
        script=script.read_text(encoding="utf-8") if record.job_id is not None else None,
    )


def log_names(record: RunRecord, rank: int | None = None) -> list[str]:
    """Return the names of the files that a run prints to: for a job what its first rank logs, and its own output."""
    name = record.folder.name
    if rank:
        return [f"{name}_rank{rank}.log"]
    is_whole_job = rank is None and record.job_id is not None
    return [f"{name}.log", *([f"slurm-{record.job_id}.out"] if is_whole_job else [])]

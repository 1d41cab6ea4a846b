"""Start a sweep, or go on with it: each point is checked before the first one starts."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mimctl.errors import UsageError
from mimctl.files import write_text
from mimctl.launch.model import ConfigOptions, LaunchOptions, LaunchPlan, Outcome, RunRequest, Workplace
from mimctl.launch.plan import make_plan, make_spec
from mimctl.launch.prepare import FetchWeights, make_request, prepare_experiment, weights_of
from mimctl.launch.runs.files import clear_end
from mimctl.launch.runs.record import RunRecord, record_of
from mimctl.launch.slurm.client import submit
from mimctl.launch.slurm.script import ArrayOf, render_script, sbatch_options
from mimctl.launch.sweep.grid import points
from mimctl.launch.sweep.model import Sweep, Trial, read_sweep, run_dir, trial_dir, trials_of
from mimctl.launch.sweep.queue import Job, run_all

GOING = ("waiting", "running", "done")
POLL_S = 2.0

Listen = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepResult:
    """A sweep and its trials, in the order of the grid."""

    folder: Path
    sweep: Sweep
    trials: Sequence[Trial]
    plans: Sequence[LaunchPlan] = ()
    """What a dry run would start."""
    job_id: str | None = None


def start(
    plugin: str,
    config: ConfigOptions,
    axes: Mapping[str, list[Any]],
    launch: LaunchOptions,
    *,
    place: Workplace,
    fetch: FetchWeights,
    max_jobs: int,
    seed: int | None = None,
    amp: bool = False,
    dry_run: bool = False,
    tell: Listen = lambda text: None,
) -> SweepResult:
    """Train each point of the grid that is not done yet; see `mimctl.sweep`."""
    grid = points(axes)
    stem = Path(config.config).stem
    folder = (config.work_dir or Path("sweeps", stem)).expanduser().absolute()
    sweep = Sweep(plugin=plugin, config=config.config, axes=dict(axes), cfg_options=config.cfg_options)
    _require_same(folder, sweep)
    trials = trials_of(folder, grid)
    left = [each for each in trials if each.state is None or each.phase not in GOING]
    requests = [
        _request(each, folder, plugin, config, launch, place, fetch, seed=seed, amp=amp, dry_run=dry_run)
        for each in left
    ]
    plans = [make_plan(each) for each in requests]
    if dry_run:
        return SweepResult(folder=folder, sweep=sweep, trials=trials, plans=plans)
    sweep.write(folder)
    job_id = None
    if launch.launcher == "slurm" and requests:
        job_id = _submit(folder, left, requests, plans, max_jobs)
        tell(f"job {job_id}: {len(left)} trials, {max_jobs} at a time")
        if not launch.detach:
            _wait(folder, grid, tell)
    else:
        _run_here(folder, left, plans, max_jobs, len(grid), tell)
    return SweepResult(folder=folder, sweep=sweep, trials=trials_of(folder, grid), job_id=job_id)


def _require_same(folder: Path, sweep: Sweep) -> None:
    if not (folder / "sweep.json").is_file():
        return
    found = read_sweep(folder)
    if found != sweep:
        raise UsageError(
            f"`{folder}` holds another sweep",
            code="other-sweep",
            causes=[f"it is of {found.plugin} {found.config} over {', '.join(found.axes)}"],
            hints=["name another folder: `--work-dir DIR`"],
        )


def _request(
    trial: Trial,
    folder: Path,
    plugin: str,
    config: ConfigOptions,
    launch: LaunchOptions,
    place: Workplace,
    fetch: FetchWeights,
    *,
    seed: int | None,
    amp: bool,
    dry_run: bool,
) -> RunRequest:
    typed = tuple(f"{path}={value!r}" for path, value in trial.point.items())
    own = replace(config, cfg_options=(*config.cfg_options, *typed), work_dir=trial_dir(folder, trial.number))
    experiment = prepare_experiment(own, place, plugin, action="train")
    request = make_request(
        experiment,
        place,
        launch,
        action="train",
        weights={} if dry_run else weights_of(experiment, fetch),
        resume="auto" if trial.state is not None else None,
        seed=seed,
        amp=amp,
    )
    return replace(request, run_dir=run_dir(folder, trial.number))


def _run_here(
    folder: Path, trials: Sequence[Trial], plans: Sequence[LaunchPlan], most: int, total: int, tell: Listen
) -> None:
    jobs = [
        Job(number=trial.number, plan=plan, record=_write_trial(folder, trial, plan))
        for trial, plan in zip(trials, plans, strict=True)
    ]

    def told(number: int, outcome: Outcome) -> None:
        metrics = (outcome.result or {}).get("metrics") or {}
        shown = "  ".join(f"{name} {value:.4g}" for name, value in metrics.items() if isinstance(value, (int, float)))
        error = f": {outcome.error['message']}" if outcome.error else ""
        how = "done" if outcome.exit_code == 0 else f"failed with {outcome.exit_code}{error}"
        tell(f"trial {number} of {total}: {how}  {shown}".rstrip())

    run_all(jobs, most=most, told=told)


def _submit(
    folder: Path, trials: Sequence[Trial], requests: Sequence[RunRequest], plans: Sequence[LaunchPlan], most: int
) -> str:
    """Submit the trials as one job array, whose tasks are the trials' numbers, and return its id."""
    numbers = ",".join(str(each.number) for each in trials)
    array = ArrayOf(folder=folder / "trials", below="run", tasks=numbers, most=most)
    records = [_write_trial(folder, trial, plan) for trial, plan in zip(trials, plans, strict=True)]
    for request in requests:
        make_spec(request).write(request.run_dir / "spec.json")
        clear_end(request.run_dir)
    script = folder / "array.sbatch"
    write_text(script, render_script(requests[0], array=array), mode=0o666)
    job_id = submit(script, sbatch_options(requests[0], array=array))
    for trial, record in zip(trials, records, strict=True):
        replace(record, job_id=f"{job_id}_{trial.number}", started=time.time()).write()
    return job_id


def _write_trial(folder: Path, trial: Trial, plan: LaunchPlan) -> RunRecord:
    plan.run_dir.mkdir(parents=True, exist_ok=True)
    replace(plan.spec, resume="auto").write(plan.run_dir / "resume.json")
    name = f"{folder.name}-{trial.number}"
    return record_of(plan, name, name)


def _wait(folder: Path, grid: list[dict[str, Any]], tell: Listen) -> None:
    seen: dict[int, str] = {}
    while True:
        trials = trials_of(folder, grid)
        for each in trials:
            if each.phase not in ("waiting", "running", seen.get(each.number)):
                tell(f"trial {each.number} of {len(grid)}: {each.phase}")
            seen[each.number] = each.phase
        if all(each.phase not in ("waiting", "running") for each in trials):
            return
        time.sleep(POLL_S)

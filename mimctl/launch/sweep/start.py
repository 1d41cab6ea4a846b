"""Start a sweep, or go on with it: each point is checked before the first one starts."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mimctl.errors import MimctlError, UsageError
from mimctl.files import write_text
from mimctl.launch.model import ConfigOptions, LaunchOptions, LaunchPlan, Workplace
from mimctl.launch.prepare import FetchWeights
from mimctl.launch.runs.files import clear_end
from mimctl.launch.slurm.client import submit
from mimctl.launch.slurm.script import ArrayOf, render_script, sbatch_options
from mimctl.launch.sweep.axes import MAX_TRIALS, Axes, covering, points
from mimctl.launch.sweep.bench import Bench, Prepared, write_trial
from mimctl.launch.sweep.drawn import Drawn, described
from mimctl.launch.sweep.here import Here, Orphan, visible_names
from mimctl.launch.sweep.jobs import Jobs
from mimctl.launch.sweep.model import (
    FILE_NAME,
    JUDGING,
    Sweep,
    SweepOptions,
    Trial,
    points_of,
    read_sweep,
    trial_of,
    trials_of,
)
from mimctl.launch.sweep.queue import Going, ended_by_signals, run_all
from mimctl.launch.sweep.study import RANDOM_TRIALS, Study, draws

LOCK = ".lock"
GOING = ("waiting", "running")

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepResult:
    """A sweep and its trials by their numbers."""

    folder: Path
    sweep: Sweep
    trials: Sequence[Trial]
    plans: Sequence[LaunchPlan] = ()
    """What a dry run would start."""
    job_id: str | None = None


def start(
    plugin: str,
    config: ConfigOptions,
    axes: Axes,
    launch: LaunchOptions,
    options: SweepOptions,
    *,
    place: Workplace,
    fetch: FetchWeights,
    tell: Tell = lambda text: None,
) -> SweepResult:
    """Train each point that is not done yet; see `mimctl.api.sweep`."""
    _require_possible(launch, options)
    folder = (config.work_dir or Path("sweeps", Path(config.config).stem)).expanduser().absolute()
    sweep = Sweep(
        plugin=plugin,
        config=config.config,
        axes=dict(axes),
        cfg_options=config.cfg_options,
        sampler=options.sampler,
        metric=options.metric,
        direction=options.direction,
    )
    _require_same(folder, sweep)
    bench = Bench(folder=folder, plugin=plugin, config=config, launch=launch, options=options, place=place, fetch=fetch)
    run = _walk_grid if options.sampler == "grid" else _draw
    return run(sweep, bench, tell)


def _walk_grid(sweep: Sweep, bench: Bench, tell: Tell) -> SweepResult:
    """Run what is not done of a grid: here one after the other, under Slurm as one array of jobs."""
    folder, launch = bench.folder, bench.launch
    grid = points(sweep.axes)
    left = [each for each in trials_of(folder, grid) if each.phase not in (*GOING, "done") or each.state is None]
    prepared = {each.number: bench.prepare(each.number, each.point, goes_on=each.state is not None) for each in left}
    if bench.options.dry_run:
        plans = [each.plan for each in prepared.values()]
        return SweepResult(folder=folder, sweep=sweep, trials=trials_of(folder, grid), plans=plans)
    job_id = None
    with _held(folder), _watched(launch):
        sweep.write(folder)
        trials = trials_of(folder, grid)
        jobs = Jobs(tell)
        going = deque(_adopt(each, jobs) for each in trials if each.state is not None and each.phase in GOING)
        if launch.launcher == "slurm" and prepared:
            job_id = _submit(bench, prepared)
            tell(f"job {job_id}: {len(prepared)} trials, {bench.options.max_jobs} at a time")
            records = {n: replace(each.record, job_id=f"{job_id}_{n}") for n, each in prepared.items()}
            going.extend(jobs.watch(number, record) for number, record in records.items())
        here = _here(bench)
        waiting = deque([] if job_id else prepared)

        def following() -> Going | None:
            if going:
                return going.popleft()
            if not waiting:
                return None
            number = waiting.popleft()
            write_trial(prepared[number])
            return here.begin(number, prepared[number].plan, prepared[number].record)

        if not (launch.launcher == "slurm" and launch.detach):
            run_all(
                following,
                # Slurm itself holds back the tasks of an array.
                most=len(grid) if launch.launcher == "slurm" else bench.options.max_jobs,
                told=lambda number: tell(described(trial_of(folder, number, grid[number]), len(grid))),
                pause_s=Jobs.pause_s if launch.launcher == "slurm" else Here.pause_s,
            )
    return SweepResult(folder=folder, sweep=sweep, trials=trials_of(folder, grid), job_id=job_id)


def _draw(sweep: Sweep, bench: Bench, tell: Tell) -> SweepResult:
    """Draw trials until there are as many as were asked for, under Slurm each a job of its own."""
    folder, options = bench.folder, bench.options
    bench.check(covering(sweep.axes), validates=sweep.sampler in JUDGING)
    if options.dry_run:
        return SweepResult(folder=folder, sweep=sweep, trials=(), plans=_plans(sweep, bench, tell))
    Study(None, sweep.axes, sampler=sweep.sampler)  # what lacks is told before a folder is made
    with _held(folder), _watched(bench.launch):
        study = Study(folder, sweep.axes, sampler=sweep.sampler, seed=options.seed or 0)
        sweep.write(folder)
        jobs = Jobs(tell)
        hand = jobs if bench.launch.launcher == "slurm" else _here(bench)
        Drawn(sweep, study, bench, hand, tell=tell).run(options.max_jobs, lambda trial: _adopt(trial, jobs))
    return SweepResult(folder=folder, sweep=sweep, trials=trials_of(folder, points_of(folder, sweep)))


def _plans(sweep: Sweep, bench: Bench, tell: Tell) -> list[LaunchPlan]:
    """Return what would be started of a sweep that begins; what TPE learns first nobody knows."""
    study = Study(None, sweep.axes, sampler=sweep.sampler, seed=bench.options.seed or 0)
    total = bench.options.trials or 0
    known = min(total, RANDOM_TRIALS) if sweep.sampler == "tpe" else total
    if known < total:
        tell(f"the first {known} are shown: what comes then follows from what they bring")
    return [bench.prepare(number, point).plan for number, point in draws(study, known)]


def _require_possible(launch: LaunchOptions, options: SweepOptions) -> None:
    if options.sampler == "grid" and options.trials is not None:
        raise UsageError(
            "a grid has as many trials as points; `--trials` is for what is drawn", hints=["`--sampler random`"]
        )
    if options.sampler != "grid" and not options.trials:
        raise UsageError(
            f"`--sampler {options.sampler}` draws for ever: say how many trials", hints=["as in `--trials 20`"]
        )
    if (options.trials or 0) > MAX_TRIALS:
        raise UsageError(f"more than {MAX_TRIALS:,} trials were asked for")
    if launch.foreground:
        raise UsageError(
            "the trials of a sweep are jobs; `--foreground` watches one run", hints=["leave it out: jobs are followed"]
        )
    if launch.node_rank is not None or launch.rdzv_endpoint is not None:
        raise UsageError("a trial of a sweep runs on one machine, or through Slurm", hints=["`--launcher slurm`"])
    if launch.detach and (launch.launcher != "slurm" or options.sampler != "grid"):
        raise UsageError(
            "only a grid under Slurm goes on without its sweep: it is one array of jobs",
            hints=[
                "leave the sweep running in `tmux`, or by `nohup mimctl sweep … &`; it can be stopped and gone on with"
            ],
        )


def _require_same(folder: Path, sweep: Sweep) -> None:
    if not (folder / FILE_NAME).is_file():
        return
    found = read_sweep(folder)
    if sweep.sampler not in JUDGING or not _is_judged(folder):
        found = replace(found, metric=sweep.metric, direction=sweep.direction)
    if found != sweep:
        raise UsageError(
            f"`{folder}` holds another sweep",
            code="other-sweep",
            causes=[f"it is of {found.plugin} {found.config} over {', '.join(found.axes)}, by {found.sampler}"],
            hints=["name another folder: `--work-dir DIR`"],
        )


def _is_judged(folder: Path) -> bool:
    """Return whether some trial was judged: by another metric it would have been judged otherwise."""
    sweep = read_sweep(folder)
    return any(each.phase in ("done", "pruned") for each in trials_of(folder, points_of(folder, sweep)))


def _adopt(trial: Trial, jobs: Jobs) -> Going:
    """Return a trial that an earlier sweep has left running."""
    assert trial.state is not None
    record = trial.state.record
    return jobs.watch(trial.number, record) if record.job_id is not None else Orphan(trial.number, record)


def _here(bench: Bench) -> Here:
    shown = os.environ.get("CUDA_VISIBLE_DEVICES")
    return Here(visible_names(bench.place.visible_gpus, shown))


def _submit(bench: Bench, prepared: dict[int, Prepared]) -> str:
    """Submit trials as one job array, whose tasks are the trials' numbers, and return its id."""
    numbers = ",".join(map(str, prepared))
    array = ArrayOf(folder=bench.folder / "trials", below="run", tasks=numbers, most=bench.options.max_jobs)
    for each in prepared.values():
        write_trial(each)
        clear_end(each.plan.run_dir)
    first = next(iter(prepared.values())).request
    script = bench.folder / "array.sbatch"
    write_text(script, render_script(first, array=array), mode=0o666)
    job_id = submit(script, sbatch_options(first, array=array))
    for number, each in prepared.items():
        replace(each.record, job_id=f"{job_id}_{number}", started=time.time()).write()
    return job_id


@contextlib.contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Hold a sweep's folder; raise MimctlError[sweep-busy] where another process does."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK).open("w") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as err:
            raise MimctlError(
                f"another process runs the sweep in `{folder}`",
                code="sweep-busy",
                hints=[f"look at it: `mimctl sweep report {folder}`"],
            ) from err
        yield


@contextlib.contextmanager
def _watched(launch: LaunchOptions) -> Iterator[None]:
    """Say what goes on where somebody stops looking at jobs; end the processes of this machine."""
    if launch.launcher != "slurm":
        with ended_by_signals():
            yield
        return
    try:
        yield
    except KeyboardInterrupt:
        raise MimctlError(
            "stopped looking; the jobs go on",
            code="detached",
            hints=["the same line looks again, and goes on with what is left"],
            exit_code=130,
        ) from None

"""A sweep of all points of a grid: here side by side, under Slurm one array of jobs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import chain

from mimctl.files import write_text
from mimctl.launch.runs.files import clear_end
from mimctl.launch.runs.record import RunRecord
from mimctl.launch.slurm.client import submit
from mimctl.launch.slurm.script import ArrayOf, render_script, sbatch_options
from mimctl.launch.sweep.axes import points
from mimctl.launch.sweep.bench import Bench, Prepared, write_trial
from mimctl.launch.sweep.hands import adopt, hand_here, taken_up
from mimctl.launch.sweep.here import Here
from mimctl.launch.sweep.holding import held, watched
from mimctl.launch.sweep.jobs import Jobs
from mimctl.launch.sweep.model import Sweep, SweepResult, described, trial_of, trials_of
from mimctl.launch.sweep.queue import Going, run_all

Tell = Callable[[str], None]


def walk_grid(sweep: Sweep, bench: Bench, tell: Tell) -> SweepResult:
    """Run what is not done of a grid."""
    folder, grid = bench.folder, points(sweep.axes)
    trials = trials_of(folder, grid)
    prepared = {
        each.number: bench.prepare(each.number, each.point, goes_on=each.state is not None)
        for each in trials
        if each.phase != "done"
    }
    is_slurm = bench.launch.launcher == "slurm"
    if bench.options.dry_run:
        left = {each.number: prepared[each.number] for each in trials if each.phase != "done" and not each.is_going}
        script = _array(bench, left)[0] if is_slurm and left else None
        plans = [each.plan for each in left.values()]
        return SweepResult(folder=folder, sweep=sweep, trials=trials, plans=plans, script=script)
    job_id = None
    with held(folder), watched(are_jobs=is_slurm):
        sweep.write(folder)
        trials = taken_up(folder, grid)
        jobs = Jobs(tell)
        started = [adopt(each, jobs) for each in trials if each.is_going]
        for each in trials:
            if each.is_going or each.phase == "done":
                prepared.pop(each.number, None)
        if is_slurm and prepared:
            job_id, records = _submit(bench, prepared)
            tell(f"job {job_id}: {len(prepared)} trials, {bench.options.max_jobs} at a time")
            started += [jobs.watch(number, record) for number, record in records.items()]
        if not (is_slurm and bench.launch.detach):
            run_all(
                chain(started, () if is_slurm else _begun_here(bench, prepared)),
                # Slurm itself holds back the tasks of an array.
                most=len(grid) if is_slurm else bench.options.max_jobs,
                told=lambda number: tell(described(trial_of(folder, number, grid[number]), len(grid))),
                pause_s=Jobs.pause_s if is_slurm else Here.pause_s,
            )
    return SweepResult(folder=folder, sweep=sweep, trials=trials_of(folder, grid), job_id=job_id)


def _begun_here(bench: Bench, prepared: Mapping[int, Prepared]) -> Iterator[Going]:
    """Start a trial each time that one is wanted."""
    here = hand_here(bench)
    for number, each in prepared.items():
        write_trial(each)
        yield here.begin(number, each.plan, each.record)


def _submit(bench: Bench, prepared: Mapping[int, Prepared]) -> tuple[str, dict[int, RunRecord]]:
    """Submit trials as one job array, and return its id and the trials' records."""
    for each in prepared.values():
        write_trial(each)
        clear_end(each.plan.run_dir)
    text, options = _array(bench, prepared)
    script = bench.folder / "array.sbatch"
    write_text(script, text, mode=0o666)
    job_id = submit(script, options)
    records = {
        number: replace(each.record, job_id=f"{job_id}_{number}", started=time.time())
        for number, each in prepared.items()
    }
    for record in records.values():
        record.write()
    return job_id, records


def _array(bench: Bench, prepared: Mapping[int, Prepared]) -> tuple[str, list[str]]:
    """Return the batch script of an array whose tasks are the trials' numbers, and what sbatch is told besides."""
    numbers = ",".join(map(str, prepared))
    array = ArrayOf(folder=bench.folder / "trials", below="run", tasks=numbers, most=bench.options.max_jobs)
    first = next(iter(prepared.values())).request
    return render_script(first, array=array), sbatch_options(first, array=array)

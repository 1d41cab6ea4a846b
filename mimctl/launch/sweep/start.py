"""Start a sweep, or go on with it: each point is checked before the first one starts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from mimctl.launch.job import job_of
from mimctl.launch.model import ConfigOptions, LaunchOptions, LaunchPlan
from mimctl.launch.place import Workplace
from mimctl.launch.prepare import FetchWeights
from mimctl.launch.sweep.axes import Axes, covering
from mimctl.launch.sweep.bench import Bench
from mimctl.launch.sweep.checks import require_possible, require_same
from mimctl.launch.sweep.drawn import Drawn
from mimctl.launch.sweep.grid import walk_grid
from mimctl.launch.sweep.hands import hand_here
from mimctl.launch.sweep.holding import held, watched
from mimctl.launch.sweep.jobs import Jobs
from mimctl.launch.sweep.model import JUDGING, Sweep, SweepOptions, SweepResult, points_of, trials_of
from mimctl.launch.sweep.study import RANDOM_TRIALS, Study, draws

Tell = Callable[[str], None]


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
    require_possible(launch, options)
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
    require_same(folder, sweep)
    bench = Bench(
        folder=folder,
        plugin=plugin,
        config=config,
        launch=launch,
        options=options,
        place=place,
        fetch=fetch,
        job=job_of(launch, place, job_name=f"{Path(config.config).stem}_train"),
    )
    run = walk_grid if options.sampler == "grid" else _draw
    return run(sweep, bench, tell)


def _draw(sweep: Sweep, bench: Bench, tell: Tell) -> SweepResult:
    """Draw trials until there are as many as were asked for, under Slurm each a job of its own."""
    folder, options = bench.folder, bench.options
    is_slurm = bench.launch.launcher == "slurm"
    bench.check(covering(sweep.axes), validates=sweep.sampler in JUDGING)
    if options.dry_run:
        return SweepResult(folder=folder, sweep=sweep, trials=(), plans=_plans(sweep, bench, tell))
    Study(None, sweep.axes, sampler=sweep.sampler)  # what lacks is told before a folder is made
    with held(folder), watched(are_jobs=is_slurm):
        study = Study(folder, sweep.axes, sampler=sweep.sampler, seed=options.seed or 0)
        sweep.write(folder)
        jobs = Jobs(tell)
        hand = jobs if is_slurm else hand_here(bench)
        Drawn(sweep, study, bench, hand, tell=tell).run(options.max_jobs, jobs)
    return SweepResult(folder=folder, sweep=sweep, trials=trials_of(folder, points_of(folder, sweep)))


def _plans(sweep: Sweep, bench: Bench, tell: Tell) -> list[LaunchPlan]:
    """Return what would be started of a sweep that begins; what TPE learns first nobody knows."""
    study = Study(None, sweep.axes, sampler=sweep.sampler, seed=bench.options.seed or 0)
    total = bench.options.trials or 0
    known = min(total, RANDOM_TRIALS) if sweep.sampler == "tpe" else total
    if known < total:
        tell(f"the first {known} are shown: what comes then follows from what they bring")
    return [bench.prepare(number, point).plan for number, point in draws(study, known)]

"""What a sweep cannot be asked for, and whether a folder holds the same one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from mimctl.errors import UsageError
from mimctl.launch.model import LaunchOptions
from mimctl.launch.sweep.axes import MAX_TRIALS
from mimctl.launch.sweep.goal import best_of
from mimctl.launch.sweep.model import FILE_NAME, JUDGING, Sweep, SweepOptions, points_of, read_sweep, trials_of


def require_possible(launch: LaunchOptions, options: SweepOptions) -> None:
    """Raise UsageError for options that mean nothing together."""
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


def require_same(folder: Path, sweep: Sweep) -> None:
    """Raise UsageError[other-sweep] where a folder holds another sweep."""
    if not (folder / FILE_NAME).is_file():
        return
    found = read_sweep(folder)
    if sweep.sampler not in JUDGING or not _is_judged(folder, found):
        found = replace(found, metric=sweep.metric, direction=sweep.direction)
    if found != sweep:
        raise UsageError(
            f"`{folder}` holds another sweep",
            code="other-sweep",
            causes=[f"it is of {found.plugin} {found.config} over {', '.join(found.axes)}, by {found.sampler}"],
            hints=["name another folder: `--work-dir DIR`"],
        )


def _is_judged(folder: Path, sweep: Sweep) -> bool:
    """Return whether some trial was judged: by another metric it would have been judged otherwise."""
    trials = trials_of(folder, points_of(folder, sweep))
    return best_of(sweep, [each for each in trials if each.phase in ("done", "pruned")])[0] is not None

"""`mimctl sweep`: one training for each point of a grid."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mimctl import api
from mimctl.cli.completing import config_argument
from mimctl.cli.options import PATH, Context, config_options, launch_options, plugin_argument, verb
from mimctl.cli.result import Line, Result, table
from mimctl.cli.runs import config_of, launch_of, shortest

if TYPE_CHECKING:
    from mimctl.launch.sweep.model import Sweep, SweepOptions, Trial

_EXAMPLES = [
    "mimctl sweep det my.py --grid optim_wrapper.optimizer.lr=0.01,0.02 --grid train_dataloader.batch_size=8,16",
    "mimctl sweep det my.py --grid model.backbone.depth=18,50 --launcher slurm --gpus 1 --max-jobs 4",
    "mimctl sweep det my.py --grid optim_wrapper.optimizer.lr=1e-5..1e-1:log --sampler tpe --trials 20",
    "mimctl sweep report sweeps/my --sort -coco/bbox_mAP --csv my.csv",
]


def _sweep(context: Context, plugin: str, config: str, **values: Any) -> Result:
    """Train once for each point of a grid; `report` in the place of PLUGIN shows what came of a sweep's folder.

    A sampler draws points in the place of trying all. The same line typed again goes on: what is done stays, what was
    stopped or failed is tried again, and more trials draw more points. A trial that fails stops no other.
    """
    if plugin == "report":
        return _report(context, Path(config), values)
    axes = api.read_axes(values["grid"], values["search_args"])
    with context.output.run_view("sweep") as view:
        found = api.sweep(
            plugin,
            config_of(config, values),
            axes,
            _options_of(values),
            launch_of(values),
            watch=view,
            settings=context.settings,
        )
    if found.plans:
        import shlex

        lines = [shlex.join(each.argv) for each in found.plans]
        lines = lines if found.script is None else found.script.splitlines()
        trials = [dict(each.spec.overrides) for each in found.plans]
        data = {"folder": str(found.folder), "trials": trials, "script": found.script}
        return Result(data=data, lines=lines, quiet=lines, notes=["dry run: nothing was started or written"])
    return _shown(found.folder, found.sweep, found.trials)


def _options_of(values: dict[str, Any]) -> SweepOptions:
    from mimctl.launch.sweep.model import SweepOptions

    return SweepOptions(**{each.name: values[each.name] for each in fields(SweepOptions)})


def _report(context: Context, folder: Path, values: dict[str, Any]) -> Result:
    wishes = {name: values[name] for name in ("sort", "csv", "png", "metric")}
    sweep, trials = api.sweep_report(folder, **wishes)
    named = {name: values[name] for name in ("metric", "direction") if values[name] is not None}
    shown = _shown(folder, replace(sweep, **named), trials)
    written = [str(each) for each in (values["csv"], values["png"]) if each]
    return shown._replace(data={**shown.data, "written": written}, closing=shown.closing[:-1], exit_code=0)


def _shown(folder: Path, sweep: Sweep, trials: Sequence[Trial]) -> Result:
    from mimctl.launch.sweep.goal import best_of
    from mimctl.launch.sweep.report import head, rows

    names, cells = head(sweep, trials), rows(sweep, trials)
    lines: list[Line] = list(table([[_cell(each) for each in row] for row in cells], head=names))
    failed = [each for each in trials if each.phase == "failed"]
    closing = [f"trial {each.number}: {_why(each)}" for each in failed]
    goal, best = best_of(sweep, trials)
    data = {
        "folder": str(folder),
        "sampler": sweep.sampler,
        "metric": goal.metric if goal else None,
        "direction": goal.direction if goal else None,
        "best": best.number if best else None,
        "trials": [_trial(each) for each in trials],
    }
    if goal is not None and best is not None:
        closing.append(f"best by `{goal.metric}` ({goal.direction}): trial {best.number}")
    return Result(
        data=data,
        lines=lines,
        quiet=[str(folder)],
        closing=[*closing, f"look again: `mimctl sweep report {shortest(str(folder))}`"],
        exit_code=1 if failed else 0,
    )


def _trial(trial: Trial) -> dict[str, object]:
    state = trial.state
    return {
        "trial": trial.number,
        "state": trial.phase,
        "values": dict(trial.point),
        "metrics": dict(trial.metrics),
        "run_dir": state.record.run_dir if state else None,
        "job_id": state.record.job_id if state else None,
        "error": dict(state.error) if state and state.error else None,
    }


def _why(trial: Trial) -> str:
    error = trial.state.error if trial.state else None
    return f"error[{error.get('code')}]: {error.get('message')}" if error else "it said nothing"


def _cell(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


_OPTIONS = (
    plugin_argument,
    config_argument,
    click.option(
        "--grid",
        multiple=True,
        metavar="PATH=V,V",
        help="An axis and its values, or a range to draw from: 1e-5..1e-1:log, 2..8; repeatable.",
    ),
    click.option("--search-args", metavar="ARGS", help="Axes as mim writes them: '--path v1 v2'."),
    click.option(
        "-j", "--max-jobs", type=click.IntRange(min=1), metavar="N", default=1, help="So many at a time.  [default: 1]"
    ),
    click.option(
        "--sampler",
        type=click.Choice(["grid", "random", "tpe", "asha"]),
        default="grid",
        show_default=True,
        help="All points, or so many drawn: at random, by what did well, or stopping early what does badly.",
    ),
    click.option("--trials", type=click.IntRange(min=1), metavar="N", help="How many a sampler draws in all."),
    click.option(
        "--metric", metavar="NAME", help="What makes a trial good, and what is drawn.  [default: the first one]"
    ),
    click.option("--direction", type=click.Choice(["min", "max"]), help="Which end of it.  [default: by its name]"),
    click.option("--work-dir", type=PATH, metavar="DIR", help="The sweep's folder.  [default: sweeps/<config>]"),
    click.option(
        "--seed",
        type=click.IntRange(min=0),
        metavar="N",
        help="Seed of each trial, and of what is drawn.",
    ),
    click.option("--amp", is_flag=True, help="Train in mixed precision."),
    click.option("--sort", metavar="COLUMN", help="Order of a report; `-` before it: the largest first."),
    click.option("--csv", type=PATH, metavar="FILE", help="Write the report as CSV."),
    click.option("--png", type=PATH, metavar="FILE", help="Draw the report (needs matplotlib)."),
    config_options,
    launch_options,
)


def _commands() -> dict[str, click.Command]:
    handler = _sweep
    for option in reversed(_OPTIONS):
        handler = option(handler)
    command = verb("sweep", examples=_EXAMPLES, target=True)(handler)
    twin = copy.copy(command)
    twin.name = "gridsearch"
    return {"sweep": command, "gridsearch": twin}


COMMANDS = _commands()

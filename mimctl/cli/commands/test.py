"""`mimctl test`: measure a checkpoint on a config's test set."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from mimctl import api
from mimctl.cli.commands.script_verb import ToolboxCommand, remade
from mimctl.cli.completing import config_argument
from mimctl.cli.options import PATH, Context, config_options, launch_options, plugin_argument, verb
from mimctl.cli.result import Line, Result, table
from mimctl.cli.runs import config_of, detached, explain_plan, launch_of, started


@verb(
    "test",
    examples=[
        "mimctl test det work_dirs/rtmdet_nano/rtmdet_nano.py -C best",
        "mimctl test det rtmdet_s -C rtmdet_s.pth --out predictions.pkl",
    ],
    target=True,
)
@plugin_argument
@config_argument
@click.option("-C", "--checkpoint", required=True, metavar="best|last|RUN|PATH", help="What to measure.")
@click.option("--out", type=PATH, metavar="FILE", help="Write the raw predictions.")
@click.option("--show", is_flag=True, help="Draw the predictions into the work dir.")
@click.option("--show-dir", type=PATH, metavar="DIR", help="Draw the predictions into DIR.")
@click.option("--tta", is_flag=True, help="See each sample several ways (the config's `tta_pipeline`, `tta_model`).")
@click.option("--work-dir", type=PATH, metavar="DIR", help="Where the run goes.  [default: work_dirs/<config>]")
@config_options
@launch_options
def test(context: Context, plugin: str, config: str, checkpoint: str, **values: Any) -> Result:
    """Measure a checkpoint on the test set of a config and print its metrics.

    With a package that follows mim's convention (mmdet) its own script does; options unknown here go on to it.
    """
    show_dir: Path | None = values["show_dir"]
    if show_dir is None and values["show"]:
        show_dir = (values["work_dir"] or Path("work_dirs", Path(config).stem)) / "shown"
    with context.output.run_view(f"test {plugin}") as view:
        outcome = api.test(
            plugin,
            config_of(config, values),
            checkpoint,
            launch_of(values),
            out=values["out"],
            show_dir=show_dir,
            tta=values["tta"],
            dry_run=values["dry_run"],
            listener=view,
            watch=view,
            settings=context.settings,
        )
    if outcome.record is not None and outcome.result is None:
        return detached(outcome.record)
    if outcome.result is None:
        return explain_plan(outcome, is_verbose=context.output.verbose)
    lines = metrics_table(outcome.result.get("metrics", {}))
    notes = [f"drawn into {show_dir}"] if show_dir else []
    return started(outcome, lines=lines, notes=notes)


def metrics_table(metrics: dict[str, Any]) -> list[Line]:
    """Return metrics as a table, in the evaluator's order; several values are one line, a matrix one a row."""
    rows = [row for name, value in metrics.items() for row in _rows(name, value)]
    return table(rows, head=("metric", "value")) if rows else ["no metric was computed"]


def _rows(name: str, value: Any) -> list[tuple[str, object]]:
    if not isinstance(value, list):
        return [(name, _shown(value))]
    many = [[_shown(each) for each in row] for row in (value if value and isinstance(value[0], list) else [value])]
    width = max((len(each) for row in many for each in row), default=0)
    lines = [" ".join(each.rjust(width) for each in row) for row in many]
    return [(name if number == 0 else "", line) for number, line in enumerate(lines)]


def _shown(value: Any) -> str:
    return f"{value:.4f}" if isinstance(value, float) else str(value)


COMMANDS = {"test": remade(test, ToolboxCommand)}

"""`mimctl train`: a model on your data or a config's."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mimctl import api
from mimctl.cli.commands.script_verb import ToolboxCommand, remade
from mimctl.cli.completing import config_argument
from mimctl.cli.options import PATH, Context, config_options, index_option, launch_options, plugin_argument, verb
from mimctl.cli.result import Result
from mimctl.cli.runs import config_of, detached, explain_plan, launch_of, shortest, started
from mimctl.errors import UsageError

if TYPE_CHECKING:
    from mimctl.spec import RunSpec


@verb(
    "train",
    examples=[
        "mimctl train det rtmdet_nano --data my_photos",
        "mimctl train cls resnet18 --data my_folders --epochs 20",
        "mimctl train det configs/my_rtmdet.py --gpus 2 --amp",
        "mimctl train det my.py --cfg-options train_cfg.max_epochs=10 optim_wrapper.optimizer.lr=1e-4",
        "mimctl train det my.py --resume",
        "mimctl train det my.py --gpus 16 --launcher slurm --partition gpu --dry-run",
    ],
    target=True,
)
@plugin_argument
@config_argument
@click.option("--data", type=PATH, metavar="DIR", help="A folder of your images, as `mimctl data` reads it.")
@click.option("--epochs", type=click.IntRange(min=1), metavar="N", help="Train this long; schedules follow.")
@click.option("--batch", type=click.IntRange(min=1), metavar="N", help="Images a step and process.")
@click.option(
    "--imgsz", type=click.IntRange(min=32), metavar="N", help="Side of the input image in pixels; pipelines follow."
)
@click.option("--lr", type=click.FloatRange(min=0, min_open=True), metavar="N", help="Learning rate.")
@click.option("--weights", metavar="auto|none|PATH|ADDRESS", help="What to start from.  [default: auto with --data]")
@click.option(
    "--split-seed", type=int, metavar="N", default=0, show_default=True, help="Seed of a split that has to be made."
)
@click.option("--work-dir", type=PATH, metavar="DIR", help="Where the run goes.  [default: work_dirs/<config>]")
@click.option("--amp", is_flag=True, help="Train in mixed precision, the device's own.")
@click.option(
    "--precision",
    type=click.Choice(["32", "16-mixed", "bf16-mixed"]),
    help="What the forward pass computes in; parameters are 32-bit floats.  [default: what the config says]",
)
@click.option("--auto-scale-lr", is_flag=True, help="Scale the learning rate to the batch size.")
@click.option(
    "--resume", is_flag=False, flag_value="auto", metavar="[PATH]", help="Go on from the newest checkpoint, or PATH."
)
@click.option("--seed", type=click.IntRange(min=0), metavar="N", help="Seed of everything random.")
@click.option(
    "--fast-dev-run",
    type=click.IntRange(min=1),
    is_flag=False,
    flag_value=1,
    metavar="[N]",
    help="Try all of it out on N batches; nothing is kept.  [N: 1]",
)
@index_option
@config_options
@launch_options
def train(context: Context, plugin: str, config: str, **values: Any) -> Result:
    """Train a model: PLUGIN is a toolbox (det), CONFIG a file or a name in the toolbox (rtmdet_nano).

    With a package that follows mim's convention (mmdet) its own script trains; options unknown here go on to it.
    """
    from mimctl.launch.verbs import TrainOptions

    if values["fast_dev_run"]:
        values["cfg_options"] = (*values["cfg_options"], f"fast_dev_run={values['fast_dev_run']}")
    if values["precision"] and values["amp"]:
        raise UsageError("`--amp` chooses a precision, and so does `--precision`", hints=["leave one of them out"])
    if values["precision"]:
        values["cfg_options"] = (*values["cfg_options"], f"precision={values['precision']}")
    options = TrainOptions(
        data=values["data"],
        weights=values["weights"],
        resume=values["resume"],
        seed=values["seed"],
        amp=values["amp"],
        auto_scale_lr=values["auto_scale_lr"],
        split_seed=values["split_seed"],
        dry_run=values["dry_run"],
    )
    with context.output.run_view(f"train {plugin}") as view:
        outcome = api.train(
            plugin,
            config_of(config, values),
            options,
            launch_of(values),
            listener=view,
            watch=view,
            settings=context.settings,
        )
    if outcome.record is not None and outcome.result is None:
        return detached(outcome.record)
    if outcome.result is None:
        return explain_plan(outcome, is_verbose=context.output.verbose)
    spec = outcome.plan.spec
    if values["fast_dev_run"]:
        return started(outcome, lines=[], notes=["the whole run works on a few batches; nothing of it is kept"])
    checkpoint = str(outcome.result.get("checkpoint") or "")
    word = "best" if Path(checkpoint).name.startswith("best_") else "last"
    return started(
        outcome,
        lines=[checkpoint] if checkpoint else [],
        notes=[
            f"work dir: {spec.work_dir}",
            f"test it: `mimctl test {plugin} {shortest(_kept_config(spec))} -C {word}`",
        ],
    )


def _kept_config(spec: RunSpec) -> str | None:
    """Return the copy of the config, with all that was changed, that the run left in its work dir; else the config."""
    if spec.config is None or spec.work_dir is None:
        return spec.config
    copy = Path(spec.work_dir) / f"{Path(spec.config).stem}.py"
    return str(copy) if copy.is_file() else spec.config


COMMANDS = {"train": remade(train, ToolboxCommand)}

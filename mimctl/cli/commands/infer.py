"""`mimctl infer`: run a model on images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from mimctl import api
from mimctl.cli.completing import model_argument
from mimctl.cli.options import PATH, Context, config_options, index_option, launch_options, plugin_argument, verb
from mimctl.cli.result import Line, Result
from mimctl.cli.runs import detached, explain_plan, launch_of, started


@verb(
    "infer",
    examples=[
        "mimctl infer det rtmdet_nano photo.jpg",
        "mimctl infer det work_dirs/my/epoch_20.pth photos/ --score-thr 0.5 --out-dir drawn --json",
        "mimctl infer cls work_dirs/my/epoch_20.pth photos/ --topk 3",
        "mimctl infer det rtmdet_nano photos/ --launcher slurm --gpus 4 --detach",
    ],
    target=True,
)
@plugin_argument
@model_argument
@click.argument("images", nargs=-1, required=True)
@click.option("--config", type=PATH, metavar="FILE", help="The model's config.  [default: beside the checkpoint]")
@click.option("--out-dir", type=PATH, metavar="DIR", help="Where pictures go.  [default: outputs/<checkpoint>]")
@click.option(
    "--score-thr",
    type=click.FloatRange(0, 1),
    metavar="N",
    help="Drop results below this score.  [default: 0.3 of boxes]",
)
@click.option("--topk", type=click.IntRange(min=1), metavar="N", help="Keep the best N results.  [default: 5 classes]")
@index_option
@config_options
@launch_options
def infer(context: Context, plugin: str, model: str, images: tuple[str, ...], **values: Any) -> Result:
    """Run a model on images: files, folders or patterns. MODEL is a checkpoint, a run's folder or a name of the zoo."""
    from mimctl.launch.inferring import InferOptions

    options = InferOptions(
        config=values["config"],
        out_dir=values["out_dir"],
        score_thr=values["score_thr"],
        topk=values["topk"],
        cfg_options=values["cfg_options"],
        trust_config=values["trust_config"],
        dry_run=values["dry_run"],
    )
    with context.output.run_view(f"infer {plugin}") as view:
        outcome = api.infer(
            plugin,
            model,
            images,
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
    return started(outcome, lines=image_lines(outcome.result), quiet=pictures(outcome.result))


def image_lines(result: Mapping[str, Any]) -> list[Line]:
    """Return what was found in each image, the best first, and where the picture is."""
    lines: list[Line] = []
    for image in result.get("images", ()):
        lines.append(str(image.get("path", "")))
        rows = [row for value in image.values() if isinstance(value, list) for row in value]
        for found in rows:
            edges = ", ".join(f"{edge:.0f}" for edge in found.get("box", ()))
            lines.append(f"  {found.get('label', '?')} {found.get('score', 0):.2f}" + (f"  [{edges}]" if edges else ""))
        if image.get("picture"):
            lines.append(f"  -> {image['picture']}")
    return lines


def pictures(result: Mapping[str, Any]) -> list[Line]:
    """Return the paths of the pictures that were drawn."""
    return [str(image["picture"]) for image in result.get("images", ()) if image.get("picture")]


COMMANDS = {"infer": infer}

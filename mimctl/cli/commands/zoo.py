"""`mimctl zoo`: the catalogue of models, made from packages and checked."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mimctl import api
from mimctl.cli.options import PATH, Context, config_options, index_option, launch_options, plugin_argument, verb
from mimctl.cli.result import Line, Result, table
from mimctl.cli.runs import config_of, launch_of
from mimctl.errors import counted

if TYPE_CHECKING:
    from mimctl.zoo.catalogue.compare import Compared

_OUT = Path("index/zoo")
_SHOWN = 12


@verb(
    "import",
    examples=[
        "mimctl zoo import mmdet==3.3.0 --out index/zoo",
        "mimctl zoo import my_package --out index/zoo --toolbox mine",
        "mimctl zoo import ../mmdetection --source mmdet==3.3.0 --dry-run",
    ],
    target=True,
    uses=("python",),
)
@click.argument("package", metavar="DIR|PACKAGE[==VERSION]")
@click.option("--out", type=PATH, default=_OUT, show_default=True, metavar="DIR", help="The folder of the catalogue.")
@click.option("--toolbox", metavar="NAME", help="Whose models they are.  [default: our name of the package]")
@click.option("--source", metavar="NAME==VERSION", help="The release that holds the configs; wanted for a folder.")
@click.option("--buildable", multiple=True, metavar="MODEL", help="A model that the toolbox builds; repeatable.")
@click.option("--dry-run", is_flag=True, help="Write nothing.")
def import_(
    context: Context,
    package: str,
    out: Path,
    toolbox: str | None,
    source: str | None,
    buildable: tuple[str, ...],
    dry_run: bool,
) -> Result:
    """Bring the models of a package into the catalogue: an installed or a published one, or a folder with its files.

    Read is what mim's convention has: `model-index.yml` and the metafiles it names. What is irregular there is listed.
    """
    with context.output.transfer_view() as watch:
        done = api.zoo_import(
            package,
            out,
            toolbox=toolbox,
            source=source,
            buildable=buildable,
            dry_run=dry_run,
            watch=watch,
            settings=context.settings,
        )
    notes: list[Line] = [str(each) for each in done.findings[:_SHOWN]]
    if len(done.findings) > _SHOWN:
        notes.append(f"… and {len(done.findings) - _SHOWN} more: `--json` has them all")
    if dry_run:
        notes.append("dry run: nothing was written")
    return Result(
        data={
            "path": str(done.path),
            "models": len(done.entries),
            "without_config": sum(each.config is None for each in done.entries),
            "findings": [{"where": each.where, "what": each.what} for each in done.findings],
        },
        lines=[f"{counted(len(done.entries), 'model')} in {done.path}"],
        quiet=[str(done.path)],
        notes=notes,
    )


@verb("lint", examples=["mimctl zoo lint index/zoo", "mimctl zoo lint index/zoo/det.yaml", "mimctl zoo lint ../mmdet"])
@click.argument("path", type=PATH, metavar="FILE|DIR")
def lint(context: Context, path: Path) -> Result:
    """List what is irregular in a catalogue or in a package's metafiles: dead configs, names that come twice, addresses
    that cannot be. Exit code 1 where there is something."""
    found = api.zoo_lint(path)
    return Result(
        data={"findings": [{"where": each.where, "what": each.what} for each in found]},
        lines=[str(each) for each in found] or ["nothing is irregular"],
        quiet=[str(each) for each in found],
        exit_code=1 if found else 0,
    )


@verb(
    "publish",
    examples=[
        "mimctl zoo publish work_dirs/rtmdet_nano",
        "mimctl zoo publish work_dirs/my --name my_cats --dataset cats --into site",
    ],
    target=True,
)
@click.argument("work_dir", type=PATH, metavar="WORK_DIR")
@click.option("--name", metavar="NAME", help="What the model is called.  [default: the config's name]")
@click.option("-C", "--checkpoint", default="best", show_default=True, metavar="best|last|PATH", help="Which weights.")
@click.option("--toolbox", metavar="NAME", help="Whose catalogue it joins.  [default: the runs' own]")
@click.option("--dataset", metavar="NAME", help="What it was trained on.  [default: the data set's type]")
@click.option("--out", type=PATH, default=_OUT, show_default=True, metavar="DIR", help="The folder of the catalogue.")
@click.option("--into", type=PATH, metavar="DIR", help="An index that `mimctl index build` made: it joins too.")
@click.option("--dtype", type=click.Choice(["float16", "bfloat16", "float32"]), help="Store the weights so.")
def publish(context: Context, work_dir: Path, **values: Any) -> Result:
    """Publish the model of a run: weights, config and metafile, and its entry in the catalogue.

    Its figures are those of the newest `mimctl test` of the checkpoint in WORK_DIR, else of its validation.
    """
    with context.output.transfer_view() as watch:
        done = api.zoo_publish(work_dir, **values, watch=watch, settings=context.settings)
    entry = done.entry
    metrics = entry.results[0]["metrics"]
    notes: list[Line] = [f"{name} {value:g}" for name, value in metrics.items()]
    notes.append(f"entered into {done.source}")
    if done.index is None:
        notes.append("put it into an index: `mimctl index build --wheels DIR --out DIR`, or `--into DIR` here")
    else:
        notes.append(f"others fetch it: `mimctl download {done.source.stem} {entry.name}`")
    files = sorted(str(path) for path in done.folder.iterdir())
    return Result(
        data={
            "name": entry.name,
            "source": str(done.source),
            "files": files,
            "metrics": dict(metrics),
            "index": str(done.index) if done.index else None,
        },
        lines=list(files),
        quiet=[entry.name],
        notes=notes,
    )


@verb(
    "verify",
    examples=[
        "mimctl zoo verify det rtmdet_tiny --cfg-options test_dataloader.dataset.data_root=data/coco/",
        "mimctl zoo verify cls resnet18_8xb32_in1k --tolerance 0.5",
    ],
    target=True,
)
@plugin_argument
@click.argument("model")
@click.option(
    "--tolerance",
    type=click.FloatRange(min=0),
    metavar="N",
    help="In the published unit.  [default: one unit of the last published digit]",
)
@click.option("--work-dir", type=PATH, metavar="DIR", help="Where the run goes.  [default: work_dirs/<config>]")
@index_option
@config_options
@launch_options
def verify(context: Context, plugin: str, model: str, tolerance: float | None, **values: Any) -> Result:
    """Fetch a model, test it, and compare what comes out with its published figures. Exit code 1 where they differ."""
    with context.output.run_view(f"verify {model}") as view:
        done = api.zoo_verify(
            plugin,
            model,
            config_of(model, values),
            launch_of(values),
            tolerance=tolerance,
            listener=view,
            watch=view,
            settings=context.settings,
        )
    rows = [(each.name, f"{each.published:g}", _shown(each.measured), _verdict(each)) for each in done.figures]
    return Result(
        data={
            "name": done.name,
            "same": done.is_same,
            "figures": [{**asdict(each), "same": each.is_same} for each in done.figures],
        },
        lines=table(rows, head=("metric", "published", "measured", "")),
        quiet=["same" if done.is_same else "different"],
        exit_code=0 if done.is_same else 1,
    )


def _shown(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _verdict(figure: Compared) -> str:
    if figure.measured is None:
        return "not measured"
    return "same" if figure.is_same else f"differs by {figure.measured - figure.published:+.4g}"


COMMANDS = {"import": import_, "lint": lint, "publish": publish, "verify": verify}

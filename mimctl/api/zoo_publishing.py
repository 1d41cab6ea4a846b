"""A model of one's own, published: out of a work dir into the catalogue, and into an index."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from mimctl import settings as settings_module
from mimctl.api.place import workplace
from mimctl.errors import MimctlError, UsageError
from mimctl.settings import Settings

if TYPE_CHECKING:
    from mimctl.api.place import Watch
    from mimctl.plugin.discover import Plugin
    from mimctl.zoo.catalogue.published import Publication
    from mimctl.zoo.model import ModelEntry


_ENTRY = "mimctl.engine.publishing:publish"


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """A model of a run that has joined a catalogue."""

    entry: ModelEntry
    source: Path
    """The file of the catalogue that holds it."""
    folder: Path
    """Where its weights, its config, its log and its metafile lie."""
    index: Path | None = None
    """The index that holds it now, where one was named."""


def zoo_publish(
    work_dir: Path,
    *,
    name: str | None = None,
    checkpoint: str = "best",
    toolbox: str | None = None,
    dataset: str | None = None,
    out: Path = Path("index/zoo"),
    into: Path | None = None,
    dtype: str | None = None,
    watch: Watch | None = None,
    settings: Settings | None = None,
) -> Published:
    """Publish the model of a run: weights without the rest in two formats, config, log, metafile, and its entry.

    `checkpoint` is `best` (else the last), `last` or a path. The figures are those of the newest `mimctl test` of it in
    this work dir, else those of its validation. `toolbox` is by default that of the runs. `dtype` (`float16`) shrinks
    the weights. With `into`, a folder that `mimctl index build` has made, the model joins that index too. Raises
    MimctlError[checkpoint-not-found | not-measured | weights-mismatch], UsageError[name-taken | config-not-found].
    """
    from mimctl.launch.experiments.find_checkpoint import config_beside, find_checkpoint
    from mimctl.launch.runs.measured import toolbox_of
    from mimctl.plugin.discover import get_plugin
    from mimctl.zoo.catalogue.published import require_name

    settings = settings or settings_module.load()
    work_dir = work_dir.expanduser().absolute()
    place = workplace(settings)
    found = find_checkpoint(str(work_dir) if checkpoint == "best" else checkpoint, work_dir)
    name_of_toolbox = toolbox or toolbox_of(work_dir)
    if name_of_toolbox is None:
        raise UsageError(
            f"which toolbox trained `{found.name}` is not known",
            causes=[f"no run of `{work_dir}` says it"],
            hints=["name it: `--toolbox det`"],
        )
    plugin = get_plugin(name_of_toolbox, place.plugins)
    config = config_beside(found)
    if config is None:
        raise UsageError(f"no config lies beside `{found}`", code="config-not-found")
    require_name(name or config.stem)
    out = out.expanduser().absolute()
    with tempfile.TemporaryDirectory(prefix="mimctl-publish-") as scratch:
        made = _published(plugin, found, config, Path(scratch), name or config.stem, dataset, dtype, place.python)
        entry, source = _keep(made, Path(scratch), out)
    if into is not None:
        from mimctl.api.publishing import build_index

        site = into.expanduser().absolute()
        build_index([], site, others=[str(site)], zoo=out, watch=watch, settings=settings)
    return Published(entry=entry, source=source, folder=out / "files" / entry.name, index=into)


def _published(
    plugin: Plugin,
    checkpoint: Path,
    config: Path,
    scratch: Path,
    name: str,
    dataset: str | None,
    dtype: str | None,
    python: Path,
) -> Publication:
    """Strip the weights into `scratch`, and return all that is known of them."""
    from mimctl.config import Config
    from mimctl.launch.asking import ask
    from mimctl.launch.runs.measured import find_measured, log_of, training_of
    from mimctl.zoo.catalogue.published import Publication

    options = {"out_dir": str(scratch), "name": name, "dtype": dtype}
    told = ask(plugin, "publish", _ENTRY, python, config=config, checkpoint=checkpoint, options=options)
    measured = find_measured(checkpoint.parent, checkpoint, told["facts"].get("iter"))
    if measured is None:
        raise MimctlError(
            f"nothing was measured of `{checkpoint.name}`",
            code="not-measured",
            causes=["neither a test nor a validation of it is in its work dir"],
            hints=[f"measure it first: `mimctl test {plugin.name} {config} -C {checkpoint}`"],
        )
    cfg = Config.fromfile(config)
    launcher = training_of(checkpoint.parent).get("launcher", {})
    ranks = int(launcher.get("num_procs", 1)) * int(launcher.get("num_nodes", 1))
    return Publication(
        name=name,
        plugin=plugin.name,
        task=plugin.manifest.summary.title(),
        dataset=dataset or str(cfg.select("test_dataloader.dataset.type") or "").rpartition(".")[2],
        config=cfg,
        files=told["files"],
        metrics=measured.metrics,
        measured_by=measured.by,
        parameters=told["parameters"],
        facts=told["facts"],
        resources=f"{ranks}x {'GPU' if launcher.get('device') == 'cuda' else 'CPU'}",
        environment=told["environment"],
        log=log_of(checkpoint.parent),
    )


def _keep(made: Publication, scratch: Path, out: Path) -> tuple[ModelEntry, Path]:
    """Put the files of a publication into the catalogue's folder, then its entry into the source."""
    from mimctl.files import write_text
    from mimctl.transfer import sha256_of
    from mimctl.zoo.catalogue.published import FILES, add, config_text, entry_of, metafile_of
    from mimctl.zoo.catalogue.source import path_of, read, write
    from mimctl.zoo.model import WeightsSource

    entry, source = entry_of(made), path_of(out, made.plugin)
    zoo = add(read(source), entry)  # a name that is taken is told before anything is written
    folder = out / "files" / made.name
    shutil.rmtree(folder, ignore_errors=True)  # of an earlier publication of the name
    folder.mkdir(parents=True)
    for file in made.files:
        shutil.copyfile(scratch / file["name"], folder / file["name"])
    write_text(folder / f"{made.name}.py", config_text(made.config), mode=0o666)
    metafile = folder / "metafile.yml"
    write_text(metafile, metafile_of(made, made.files[0]["name"]), mode=0o666)

    def described(path: Path) -> WeightsSource:
        return WeightsSource(file=f"{FILES}/{made.name}/{path.name}", sha256=sha256_of(path), size=path.stat().st_size)

    entry = replace(entry, files=(*entry.files, described(metafile)))
    if made.log is not None and made.log_name is not None:
        shutil.copyfile(made.log, folder / made.log_name)
        entry = replace(entry, log=described(folder / made.log_name))
    write(source, replace(zoo, models=(entry, *zoo.models[1:])))
    return entry, source

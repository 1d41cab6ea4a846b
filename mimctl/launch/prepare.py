"""From what a person typed to a request in which everything is resolved and checked, before any process starts."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mimctl.config.language.environment import address_errors, encode, require_written
from mimctl.errors import MimctlError
from mimctl.launch.experiments.config_weights import from_scratch, remote_weights, weights_errors
from mimctl.launch.experiments.data_files import require_data
from mimctl.launch.experiments.dataset import DatasetReport
from mimctl.launch.experiments.experiment import (
    check_config,
    load_config,
    parse_overrides,
    raise_all,
)
from mimctl.launch.experiments.trust import require_trust
from mimctl.launch.experiments.type_tables import type_tables
from mimctl.launch.job import job_of
from mimctl.launch.model import ConfigOptions, LaunchOptions, RunRequest, SlurmOptions
from mimctl.launch.place import Workplace
from mimctl.plugin.configs import find_config
from mimctl.plugin.discover import Plugin, get_plugin, import_roots
from mimctl.spec import LauncherFacts

if TYPE_CHECKING:
    from mimctl.config import Config

FetchWeights = Callable[[Sequence[str]], Mapping[str, str]]
"""Addresses of weights → local files; raises NetworkError where one is not at hand."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """A config that was found, changed and checked.

    `overrides` is what the child applies to `path`; where `is_derived`, `path` is a file of the whole config that is
    written before the start (`text`), and `overrides` is empty.
    """

    plugin: Plugin
    path: Path
    config: Config
    work_dir: Path
    overrides: Mapping[str, Any] = field(default_factory=dict)
    text: str | None = None
    notes: tuple[str, ...] = ()


def find_verb(plugin: Plugin, verb: str) -> str:
    """Return the entry of a toolbox's verb; raise MimctlError[verb-not-offered] with those it has."""
    entry = plugin.manifest.verbs.get(verb)
    if entry is None:
        offered = ", ".join(f"`{each}`" for each in sorted(plugin.manifest.verbs))
        raise MimctlError(
            f"toolbox `{plugin.name}` does not offer `{verb}`",
            code="verb-not-offered",
            causes=[f"it offers {offered or 'nothing'}"],
        )
    return entry


def prepare_experiment(
    options: ConfigOptions,
    place: Workplace,
    plugin_name: str,
    *,
    action: str,
    report: DatasetReport | None = None,
    load_from: str | None = None,
) -> Experiment:
    """Find the config, apply what was asked for, check all of it; raise ConfigError with file and line.

    `report` is what `--data` found; then the whole config is written into the work dir. `load_from` are weights to
    start from ("" = none).
    """
    plugin = get_plugin(plugin_name, place.plugins)
    find_verb(plugin, action)
    path = find_config(options.config, plugin)
    typed = parse_overrides(options.cfg_options)
    config = load_config(path, typed, place.working_plugins, import_roots(place.paths))
    require_trust(config, path, is_trusted=options.trust_config, plugins=place.working_plugins)
    raise_all(address_errors(config))
    tables = type_tables(place.working_plugins, import_roots(place.paths), cache_dir=place.cache_dir, note=place.note)
    check_config(config, tables)
    derived = apply_wishes(config, options, report=report, load_from=load_from)
    if derived:
        config.merge_from_dict(typed)  # what a person typed wins over what follows from other options
        check_config(config, tables)
    if action == "train":
        raise_all(weights_errors(config, only_load_from=bool(config.get("load_from"))))
    work_dir = work_dir_of(options, config, path, report.folder if report else None)
    if report is None:
        require_data(config, action)
        overrides = encode({**derived, **typed})
        return Experiment(plugin=plugin, path=path, config=config, work_dir=work_dir, overrides=overrides)
    require_written(config)
    target = work_dir / f"{work_dir.name}.py"
    return Experiment(plugin=plugin, path=target, config=config, work_dir=work_dir, text=config.pretty_text)


def apply_wishes(
    config: Config, options: ConfigOptions, *, report: DatasetReport | None, load_from: str | None
) -> dict[str, Any]:
    """Change `config` as `--data`, `--epochs`, `--batch`, `--imgsz`, `--lr` and `--weights` ask; return the overrides.

    Each recipe reads what the ones before it left.
    """
    wishes = _wishes(options, report, load_from)
    derived: dict[str, Any] = {}
    for option, recipe in wishes:
        overrides = recipe(config)
        config.merge_from_dict(overrides, origin=option)
        derived.update(overrides)
    return derived


def _wishes(
    options: ConfigOptions, report: DatasetReport | None, load_from: str | None
) -> list[tuple[str, Callable[[Config], Mapping[str, Any]]]]:
    from mimctl.config import recipe

    wishes: list[tuple[str, Callable[[Config], Mapping[str, Any]]]] = []
    if report is not None:
        facts = report.facts
        wishes.append(("--data", lambda config: recipe.apply_dataset(config, facts)))
    changes: tuple[tuple[str, Any, Callable[[Config, Any], Mapping[str, Any]]], ...] = (
        ("--epochs", options.epochs, recipe.set_epochs),
        ("--batch", options.batch, recipe.set_batch),
        ("--imgsz", options.imgsz, recipe.set_image_size),
        ("--lr", options.lr, recipe.set_lr),
    )
    for option, value, change in changes:
        if value is not None:
            wishes.append((option, functools.partial(_changed, change, value)))
    if report is not None:
        images = report.raw["splits"].get("train", {}).get("images", 0)
        wishes.append(("--data", lambda config: recipe.limit_warmup(config, steps_per_epoch=_steps(config, images))))
    if load_from:
        wishes.append(("--weights", lambda config: {"load_from": load_from}))
    elif load_from is not None:
        wishes.append(("--weights", from_scratch))
    return wishes


def _changed(change: Callable[[Config, Any], Mapping[str, Any]], value: Any, config: Config) -> Mapping[str, Any]:
    return change(config, value)


def _steps(config: Config, images: int) -> int:
    batch = config.select("train_dataloader.batch_size")
    return max(1, images // batch) if isinstance(batch, int) and batch > 0 else max(1, images)


def work_dir_of(options: ConfigOptions, config: Config | None, path: Path, data: Path | None) -> Path:
    """Return where a run's files go: `--work-dir`, the config's own, else `work_dirs/<config>[_<data folder>]`."""
    named = options.work_dir or (config.get("work_dir") if config is not None else None)
    if named:
        return Path(named).expanduser().absolute()
    stem = path.stem if data is None else f"{path.stem}_{_word(data.resolve().name)}"
    return Path("work_dirs", stem).absolute()


def _word(text: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "-_" else "_" for letter in text) or "data"


def weights_of(experiment: Experiment, fetch: FetchWeights, *, resumes: bool = False) -> Mapping[str, str]:
    """Return the weights that the config names by address → local files, fetched now: the engine fetches nothing.

    Where all weights come from a checkpoint (`resumes`, or `load_from`), pretrained parts are not needed.
    """
    whole = resumes or bool(experiment.config.get("load_from"))
    wanted = list(remote_weights(experiment.config, only_load_from=whole))
    return fetch(wanted) if wanted else {}


def make_request(
    experiment: Experiment,
    place: Workplace,
    launch: LaunchOptions,
    *,
    action: str,
    weights: Mapping[str, str],
    job: tuple[LauncherFacts, SlurmOptions] | None = None,
    **rest: Any,
) -> RunRequest:
    """Put everything together; `rest` are further fields of RunRequest (seed, amp, resume, checkpoint, options).

    `job` is what `job_of` said of another run with these launch options: Slurm is asked once for many.
    """
    plugin = experiment.plugin
    facts, slurm = job or job_of(launch, place, job_name=f"{experiment.path.stem}_{action}")
    return RunRequest(
        action=action,
        plugin=plugin.name,
        package=plugin.package,
        entry=find_verb(plugin, action),
        python=place.python,
        run_dir=new_run_dir(experiment.work_dir, node_rank=facts.node_rank),
        config=experiment.path,
        overrides=experiment.overrides,
        work_dir=experiment.work_dir,
        weights=weights,
        launcher=facts,
        port=launch.port,
        slurm=slurm,
        **rest,
    )


def new_run_dir(work_dir: Path, *, node_rank: int = 0) -> Path:
    """Return a folder name below `work_dir` that no earlier run has: the time of day, numbered when it is taken.

    Nodes that start at the same moment in a folder of all of them get one each.
    """
    stamp = time.strftime("%Y%m%d_%H%M%S") + (f"_node{node_rank}" if node_rank else "")
    names = [stamp, *(f"{stamp}_{number}" for number in range(1, 100))]
    return next(work_dir / name for name in names if not (work_dir / name).exists())

"""Infer: find the model, start it on images, say how it ended."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mimctl.config.beside import is_downloaded
from mimctl.config.language.environment import address_errors
from mimctl.errors import MimctlError, UsageError
from mimctl.launch.asking import answer_of
from mimctl.launch.experiments.experiment import load_config, parse_overrides, raise_all
from mimctl.launch.experiments.find_checkpoint import config_beside, find_checkpoint
from mimctl.launch.experiments.trust import is_of_run, require_trust
from mimctl.launch.job import job_of
from mimctl.launch.model import LaunchOptions, Listener, RunRequest
from mimctl.launch.place import Workplace
from mimctl.launch.plan import make_plan
from mimctl.launch.prepare import find_verb, new_run_dir
from mimctl.launch.verbs import Models, RunResult, start_request
from mimctl.plugin.discover import Plugin, get_plugin, import_roots


@dataclass(frozen=True, slots=True, kw_only=True)
class InferOptions:
    """What `infer` is told."""

    config: Path | None = None
    out_dir: Path | None = None
    score_thr: float | None = None
    topk: int | None = None
    cfg_options: tuple[str, ...] = ()
    trust_config: bool = False
    dry_run: bool = False


def infer(
    plugin_name: str,
    model: str,
    inputs: Sequence[str],
    options: InferOptions,
    launch: LaunchOptions,
    *,
    place: Workplace,
    models: Models,
    listener: Listener | None = None,
) -> RunResult:
    """Run a model on images (see `mimctl.infer`)."""
    plugin = get_plugin(plugin_name, place.plugins)
    entry = find_verb(plugin, "infer")
    _require_inputs(inputs)
    config, checkpoint = _model_files(plugin, model, options.config, models)
    if config is not None:
        _require_trusted(config, checkpoint, options, place)
    out_dir = (options.out_dir or Path("outputs", checkpoint.stem)).expanduser().absolute()
    limits = {"score_thr": options.score_thr, "topk": options.topk}
    facts, slurm = job_of(launch, place, job_name=f"{checkpoint.stem}_infer")
    request = RunRequest(
        action="infer",
        plugin=plugin.name,
        package=plugin.package,
        entry=entry,
        python=place.python,
        run_dir=new_run_dir(out_dir),
        config=config,
        overrides=parse_overrides(options.cfg_options),
        checkpoint=checkpoint,
        inputs=tuple(str(Path(each).expanduser().absolute()) for each in inputs),
        options={"out_dir": str(out_dir), **{key: value for key, value in limits.items() if value is not None}},
        launcher=facts,
        port=launch.port,
        slurm=slurm,
    )
    if facts.kind == "slurm" or launch.detach:
        launch = replace(launch, name=launch.name or checkpoint.stem)
        return start_request(request, place, launch, dry_run=options.dry_run, listener=listener)
    with tempfile.TemporaryDirectory(prefix="mimctl-infer-") as scratch:  # nothing is left but the pictures
        plan = make_plan(replace(request, run_dir=Path(scratch)))
        return RunResult(plan=plan, result=None if options.dry_run else answer_of(plan, listener))


def _require_trusted(config: Path, checkpoint: Path, options: InferOptions, place: Workplace) -> None:
    evaluated = load_config(config, {}, place.working_plugins, import_roots(place.paths))
    is_foreign = is_downloaded(config) or (options.config is None and not is_of_run(checkpoint))
    require_trust(
        evaluated, config, is_trusted=options.trust_config, plugins=place.working_plugins, is_foreign=is_foreign
    )
    raise_all(address_errors(evaluated))


def _require_inputs(inputs: Sequence[str]) -> None:
    missing = [each for each in inputs if not Path(each).expanduser().exists() and not _is_pattern(each)]
    if missing:
        raise MimctlError(
            f"image `{missing[0]}` does not exist",
            code="data-not-found",
            causes=[f"{len(missing)} of {len(inputs)} are missing"] if len(inputs) > 1 else [],
        )


def _is_pattern(text: str) -> bool:
    return any(sign in text for sign in "*?[")


def _model_files(plugin: Plugin, model: str, config: Path | None, models: Models) -> tuple[Path | None, Path]:
    path = Path(model).expanduser()
    if path.is_file() or path.is_dir():
        checkpoint = find_checkpoint(model, path)
        found = config.expanduser().absolute() if config else config_beside(checkpoint)
    elif path.suffix in (".pth", ".pt", ".safetensors") or "/" in model:
        raise MimctlError(
            f"checkpoint `{model}` does not exist",
            code="checkpoint-not-found",
            hints=[f"a model of the zoo goes by its name: `mimctl infer {plugin.name} NAME IMAGE`"],
        )
    else:
        zoo_config, checkpoint = models.model(plugin, model)
        found = config.expanduser().absolute() if config else zoo_config
    if found is not None and not found.is_file():
        raise UsageError(f"config `{config}` does not exist", code="config-not-found")
    return found, checkpoint

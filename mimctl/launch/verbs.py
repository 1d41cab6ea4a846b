"""Train, test and infer: prepare all of it, start it, say how it ended."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from mimctl.config.beside import is_downloaded
from mimctl.config.language.environment import address_errors
from mimctl.errors import MimctlError, UsageError
from mimctl.launch.asking import answer_of
from mimctl.launch.experiments.config_weights import is_address
from mimctl.launch.experiments.dataset import DatasetReport, describe_folder
from mimctl.launch.experiments.experiment import load_config, raise_all
from mimctl.launch.experiments.find_checkpoint import config_beside, find_checkpoint
from mimctl.launch.experiments.trust import is_of_run, require_trust
from mimctl.launch.job import job_of
from mimctl.launch.model import ConfigOptions, LaunchOptions, LaunchPlan, Listener, RunRequest, Workplace
from mimctl.launch.plan import make_plan
from mimctl.launch.prepare import find_verb, make_request, new_run_dir, prepare_experiment, weights_of
from mimctl.launch.runs.record import RunRecord
from mimctl.launch.start import start
from mimctl.plugin.configs import find_config
from mimctl.plugin.discover import Plugin, get_plugin, import_roots


class Models(Protocol):
    """Where weights come from when they are not on this disk (the zoo, caches, the network)."""

    def fetch(self, addresses: Sequence[str]) -> Mapping[str, str]:
        """Return address → local file; raise NetworkError where one is not at hand."""

    def start_weights(self, plugin: Plugin, config: Path) -> Path:
        """Return the zoo's weights for a config; raise NetworkError[weights-not-at-hand]."""

    def model(self, plugin: Plugin, name: str) -> tuple[Path, Path]:
        """Return (config, checkpoint) of a zoo model, fetched."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainOptions:
    """What `train` is told beside the config and the launcher."""

    data: Path | None = None
    weights: str | None = None
    """"auto", "none", a path or an address; None is "auto" with `data`, else what the config says."""
    resume: str | None = None
    seed: int | None = None
    amp: bool = False
    auto_scale_lr: bool = False
    split_seed: int = 0
    dry_run: bool = False


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


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """A run that ended well, or the plan of one that was not started (`result` is None)."""

    plan: LaunchPlan
    result: Mapping[str, Any] | None
    report: DatasetReport | None = None
    record: RunRecord | None = None
    """What was written down of a run that was started."""


def train(
    plugin_name: str,
    config: ConfigOptions,
    options: TrainOptions,
    launch: LaunchOptions,
    *,
    place: Workplace,
    models: Models,
    listener: Listener | None = None,
) -> RunResult:
    """Train to the end of the config (see `mimctl.train`)."""
    plugin = get_plugin(plugin_name, place.plugins)
    path = find_config(config.config, plugin)  # a misspelled name must not wait for a scan of the images
    report = None
    if options.data is not None:
        report = _look_at(options.data, plugin, config, path, options, place)
    weights = options.weights or ("auto" if options.data is not None and options.resume is None else None)
    load_from = _load_from(weights, plugin, path, models)
    experiment = prepare_experiment(config, place, plugin.name, action="train", report=report, load_from=load_from)
    request = make_request(
        experiment,
        place,
        launch,
        action="train",
        weights={} if options.dry_run else weights_of(experiment, models.fetch, resumes=options.resume is not None),
        resume=_resume(options.resume),
        seed=options.seed,
        amp=options.amp,
        auto_scale_lr=options.auto_scale_lr,
    )
    texts = {} if experiment.text is None else {experiment.path: experiment.text}
    started = _start(request, place, launch, texts=texts, dry_run=options.dry_run, listener=listener)
    return replace(started, report=report)


def test(
    plugin_name: str,
    config: ConfigOptions,
    checkpoint: str,
    launch: LaunchOptions,
    *,
    place: Workplace,
    out: Path | None = None,
    show_dir: Path | None = None,
    tta: bool = False,
    dry_run: bool = False,
    listener: Listener | None = None,
) -> RunResult:
    """Measure a checkpoint on the config's test set (see `mimctl.test`)."""
    experiment = prepare_experiment(config, place, plugin_name, action="test")
    found = find_checkpoint(checkpoint, experiment.work_dir)
    options = {
        "out": str(out.expanduser().absolute()) if out else None,
        "show_dir": str(show_dir.expanduser().absolute()) if show_dir else None,
        "tta": True if tta else None,
    }
    request = make_request(
        experiment,
        place,
        launch,
        action="test",
        weights={},
        checkpoint=found,
        options={name: value for name, value in options.items() if value is not None},
    )
    return _start(request, place, launch, dry_run=dry_run, listener=listener)


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
        evaluated = load_config(config, {}, place.working_plugins, import_roots(place.paths))
        is_foreign = is_downloaded(config) or (options.config is None and not is_of_run(checkpoint))
        require_trust(
            evaluated, config, is_trusted=options.trust_config, plugins=place.working_plugins, is_foreign=is_foreign
        )
        raise_all(address_errors(evaluated))
    out_dir = (options.out_dir or Path("outputs", checkpoint.stem)).expanduser().absolute()
    limits = {"score_thr": options.score_thr, "topk": options.topk}
    facts, slurm = job_of(launch, place, job_name=f"{checkpoint.stem}_infer")
    from mimctl.launch.experiments.experiment import parse_overrides

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
        return _start(request, place, launch, dry_run=options.dry_run, listener=listener)
    with tempfile.TemporaryDirectory(prefix="mimctl-infer-") as scratch:  # nothing is left but the pictures
        plan = make_plan(replace(request, run_dir=Path(scratch)))
        return RunResult(plan=plan, result=None if options.dry_run else answer_of(plan, listener))


def _look_at(
    data: Path, plugin: Plugin, config: ConfigOptions, path: Path, options: TrainOptions, place: Workplace
) -> DatasetReport:
    folder = data.expanduser()
    if not folder.exists():
        raise MimctlError(
            f"`{data}` does not exist", code="data-not-found", hints=["`--data` wants the folder of your images"]
        )
    from mimctl.launch.prepare import work_dir_of

    with tempfile.TemporaryDirectory(prefix="mimctl-split-") as scratch:
        # Lists of a split belong into the work dir; a dry run leaves nothing there.
        out = Path(scratch) if options.dry_run else work_dir_of(config, None, path, folder)
        report = describe_folder(
            plugin,
            folder,
            python=place.python,
            out=out,
            seed=options.split_seed,
            others=place.working_plugins,
        )
    if place.note is not None and not options.dry_run:  # a dry run shows the report itself
        for line in report.lines:
            place.note(line)
    return report


def _load_from(weights: str | None, plugin: Plugin, config: Path, models: Models) -> str | None:
    """Return what `load_from` becomes: None leaves it, "" empties it."""
    if weights is None:
        return None
    if weights == "none":
        return ""
    if weights == "auto":
        return str(models.start_weights(plugin, config))
    if is_address(weights):
        return weights
    path = Path(weights).expanduser()
    if not path.is_file():
        raise UsageError(
            f"weights `{weights}` do not exist",
            code="checkpoint-not-found",
            hints=["`--weights auto` takes the zoo's, `--weights none` starts from scratch"],
        )
    return str(path.absolute())


def _resume(resume: str | None) -> str | None:
    if resume is None or resume == "auto":
        return resume
    path = Path(resume).expanduser()
    if not path.is_file():
        raise UsageError(
            f"checkpoint `{resume}` does not exist",
            code="checkpoint-not-found",
            hints=["`--resume` alone takes the newest of the work dir; put it after the config"],
        )
    return str(path.absolute())


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


def _start(
    request: RunRequest,
    place: Workplace,
    launch: LaunchOptions,
    *,
    texts: Mapping[Path, str] | None = None,
    dry_run: bool,
    listener: Listener | None,
) -> RunResult:
    plan = make_plan(request)
    if dry_run:
        return RunResult(plan=replace(plan, files={**(texts or {}), **plan.files}), result=None)
    ended, record = start(plan, book=place.book, name=launch.name, detach=launch.detach, texts=texts, listener=listener)
    return RunResult(plan=plan, result=(ended.result or {}) if ended else None, record=record)


__all__ = [
    "InferOptions",
    "Models",
    "RunResult",
    "TrainOptions",
    "infer",
    "new_run_dir",
    "test",
    "train",
]

"""Train and test: prepare all of it, start it, say how it ended."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from mimctl.errors import MimctlError, UsageError
from mimctl.launch.experiments.config_weights import is_address
from mimctl.launch.experiments.dataset import DatasetReport, describe_folder
from mimctl.launch.experiments.find_checkpoint import find_checkpoint
from mimctl.launch.model import ConfigOptions, LaunchOptions, LaunchPlan, Listener, RunRequest
from mimctl.launch.place import Workplace
from mimctl.launch.plan import make_plan
from mimctl.launch.prepare import make_request, prepare_experiment, weights_of
from mimctl.launch.runs.record import RunRecord
from mimctl.launch.start import start
from mimctl.plugin.configs import find_config
from mimctl.plugin.discover import Plugin, get_plugin


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
    started = start_request(request, place, launch, texts=texts, dry_run=options.dry_run, listener=listener)
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
    return start_request(request, place, launch, dry_run=dry_run, listener=listener)


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


def start_request(
    request: RunRequest,
    place: Workplace,
    launch: LaunchOptions,
    *,
    texts: Mapping[Path, str] | None = None,
    dry_run: bool,
    listener: Listener | None,
) -> RunResult:
    """Start what is prepared, or only plan it; `texts` are more files to write first."""
    plan = make_plan(request)
    if dry_run:
        return RunResult(plan=replace(plan, files={**(texts or {}), **plan.files}), result=None)
    ended, record = start(plan, book=place.book, name=launch.name, detach=launch.detach, texts=texts, listener=listener)
    return RunResult(plan=plan, result=(ended.result or {}) if ended else None, record=record)

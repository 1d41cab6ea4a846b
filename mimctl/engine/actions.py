"""The default entries of a toolbox's `train` and `test`: from a RunSpec to a Runner, and what came of it."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mimctl.config import Config
from mimctl.config.language.environment import address_errors
from mimctl.config.values import LazyReference
from mimctl.engine.checkpoints.checkpoint import use_weights
from mimctl.engine.hooks.checkpoint import saved_by
from mimctl.engine.hooks.hook import Hook
from mimctl.engine.hooks.preemption import Preempted, PreemptionHook
from mimctl.engine.hooks.test_time_aug import PrepareTTAHook, use_tta_pipeline
from mimctl.engine.lookup.bases import find_base
from mimctl.engine.lookup.custom_imports import import_custom_modules
from mimctl.engine.lookup.scopes import use_scope
from mimctl.engine.lookup.toolboxes import name_of_reference
from mimctl.engine.lookup.user_types import check_with_user_code
from mimctl.engine.ranks import distributed
from mimctl.engine.registry import HOOKS
from mimctl.engine.reporting.events import open_events, plain
from mimctl.engine.reporting.log import configure_logging, get_logger
from mimctl.engine.runner import Runner
from mimctl.engine.running.run_lock import locked, patience_of
from mimctl.engine.running.work_dir import put_earlier_run_away
from mimctl.errors import ConfigError
from mimctl.spec import RunSpec

Result = dict[str, Any]


def train(spec: RunSpec) -> Result:
    """Train what the spec's config describes; return `work_dir`, `checkpoint` (the best, else the last), `metrics`.

    A `fast_dev_run` leaves no checkpoint and touches nothing of an earlier run.
    """
    cfg = load_config(spec)
    adapt_config(cfg, spec)
    work_dir = work_dir_of(spec, cfg)
    if cfg.get("fast_dev_run"):
        return _try_out(cfg, spec)
    with _work_dir_in_use(work_dir, cfg, spec), _running(spec):
        runner = make_runner(cfg, spec)
        last = _LastMetrics()
        runner.register_hook(last, "LOWEST")
        try:
            with _preemptible(runner, cfg):
                runner.train()
        except Preempted as stopped:
            return _unfinished(runner, stopped)
        best, newest = saved_by(runner)
        chosen = best or newest
        return {
            "work_dir": str(work_dir),
            "checkpoint": str(chosen) if chosen else None,
            "last_checkpoint": str(newest) if newest else None,
            "metrics": plain(last.metrics),
            "epoch": runner.train_loop.epoch,
            "iter": runner.train_loop.iter,
        }


def test(spec: RunSpec) -> Result:
    """Test the spec's checkpoint on the config's test set; return `metrics`, and `out` where it was asked for.

    Options: `out`, a file for the predictions (MMEngine's DumpResults); `show_dir`, a folder for pictures of them;
    `tta`: see each sample as the config's `tta_pipeline` says and merge the predictions by its `tta_model`.
    """
    cfg = load_config(spec)
    adapt_config(cfg, spec)
    if spec.options.get("show_dir"):
        draw_predictions(cfg, str(spec.options["show_dir"]))
    if spec.checkpoint is not None:
        cfg["load_from"] = spec.checkpoint
    cfg["resume"] = False
    out = spec.options.get("out")
    if out:
        dump = {"type": "DumpResults", "out_file_path": str(out)}
        evaluators = cfg.get("test_evaluator")
        cfg["test_evaluator"] = [*(evaluators if isinstance(evaluators, list) else [evaluators]), dump]
    merging = use_tta_pipeline(cfg) if spec.options.get("tta") else None
    with _running(spec):
        runner = make_runner(cfg, spec)
        if merging is not None:
            runner.register_hook(PrepareTTAHook(merging))
        metrics = runner.test()
    return {"metrics": plain(metrics), **({"out": str(out)} if out else {})}


def load_config(spec: RunSpec) -> Config:
    """Read the spec's config with its overrides, import what it names in `custom_imports`, and check it with that."""
    if spec.config is None:
        raise ConfigError("the run has no config", code="missing-argument")
    cfg = Config.fromfile(spec.config, overrides=spec.overrides, search=find_base)
    for error in address_errors(cfg):
        raise error
    if import_custom_modules(cfg):
        check_with_user_code(cfg)
    return cfg


def draw_predictions(cfg: Config, folder: str) -> None:
    """Let the config's visualization hook write a picture of each prediction to `folder`.

    The hook's class says how, in `drawing_into(folder)`: the arguments that make it do so.
    """
    hook = (cfg.get("default_hooks") or {}).get("visualization")
    kind = hook.get("type") if isinstance(hook, Mapping) else None
    with use_scope(cfg.get("default_scope")):
        name = name_of_reference(kind) if isinstance(kind, LazyReference) else kind
        found: Any = HOOKS.get(name) if isinstance(name, str) else name
    if not hasattr(found, "drawing_into"):
        raise ConfigError(
            "this config has no hook that could draw predictions",
            code="config-value",
            hints=["add the toolbox's own: `default_hooks = dict(visualization=dict(type='…VisualizationHook'))`"],
            origin=cfg.origin("default_hooks"),
        )
    arguments = found.drawing_into(folder)
    cfg.merge_from_dict({f"default_hooks.visualization.{key}": value for key, value in arguments.items()})


def adapt_config(cfg: Config, spec: RunSpec) -> None:
    """Put what the command line decided (work dir, resume, precision, seed, launcher) into the config."""
    cfg["work_dir"] = str(work_dir_of(spec, cfg))
    cfg["launcher"] = spec.launcher.kind
    if spec.resume is not None:
        cfg["resume"] = True if spec.resume == "auto" else spec.resume
    if spec.seed is not None:
        cfg["randomness"] = {**(cfg.get("randomness") or {}), "seed": spec.seed}
    if spec.amp and cfg.get("optim_wrapper") is not None:
        cfg["optim_wrapper"] = {"loss_scale": "dynamic", **cfg["optim_wrapper"], "type": "AmpOptimWrapper"}
    if spec.auto_scale_lr:
        if not (cfg.get("auto_scale_lr") or {}).get("base_batch_size"):
            raise ConfigError(
                "`--auto-scale-lr` needs the batch size that the config's learning rate was made for",
                hints=["set it: `--cfg-options auto_scale_lr.base_batch_size=16`"],
            )
        cfg["auto_scale_lr"] = {**cfg["auto_scale_lr"], "enable": True}


def work_dir_of(spec: RunSpec, cfg: Mapping[str, Any]) -> Path:
    """Return where the run's files go: the spec's, the config's, else `work_dirs/<config>`."""
    named = spec.work_dir or cfg.get("work_dir")
    return Path(named) if named else Path("work_dirs", Path(spec.config or "run").stem)


def make_runner(cfg: Config, spec: RunSpec) -> Runner:
    """Build the spec's Runner; its files go beside the run's events, where these lie in the work dir."""
    runner = Runner.from_cfg(cfg, log_dir=run_dir_of(spec))
    runner.events = open_events(spec)
    configure_logging(events=runner.events)
    return runner


def run_dir_of(spec: RunSpec) -> Path | None:
    """Return the run's own folder in the work dir, None where its events lie elsewhere."""
    if spec.events_path is None or spec.work_dir is None:
        return None
    folder = Path(spec.events_path).parent
    return folder if folder.parent == Path(spec.work_dir) else None


@contextlib.contextmanager
def _preemptible(runner: Runner, cfg: Mapping[str, Any]) -> Iterator[None]:
    """Have a PreemptionHook while the block runs, unless the config says `default_hooks.preemption=None`."""
    hooks = [hook for hook in runner.hooks if isinstance(hook, PreemptionHook)]
    if not hooks and "preemption" not in (cfg.get("default_hooks") or {}):
        hooks = [PreemptionHook()]
        runner.register_hook(hooks[0])
    if not hooks:
        # The start of the process held the signal back for the hook.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGUSR2})
    try:
        yield
    except Exception:
        for hook in hooks:
            hook.release()
        raise


def _unfinished(runner: Runner, stopped: Preempted) -> Result:
    return {
        "work_dir": str(runner.work_dir),
        "checkpoint": str(stopped.checkpoint),
        "last_checkpoint": str(stopped.checkpoint),
        "metrics": {},
        "epoch": stopped.epoch,
        "iter": stopped.iter,
        "unfinished": str(stopped),
    }


def _try_out(cfg: Config, spec: RunSpec) -> Result:
    with _running(spec):
        runner = make_runner(cfg, spec)
        runner.train()
        return {
            "work_dir": str(work_dir_of(spec, cfg)),
            "checkpoint": None,
            "last_checkpoint": None,
            "metrics": {},
            "epoch": runner.epoch,
            "iter": runner.iter,
        }


class _LastMetrics(Hook):
    """Remember the metrics of the last validation."""

    def __init__(self) -> None:
        self.metrics: dict[str, float] = {}

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        self.metrics = dict(metrics or {})


@contextlib.contextmanager
def _running(spec: RunSpec) -> Iterator[None]:
    with use_weights(spec.weights):
        yield
        # Not after an error: the other ranks would hear of the lost connection before they could hear of its cause.
        distributed.shutdown()


@contextlib.contextmanager
def _work_dir_in_use(work_dir: Path, cfg: Config, spec: RunSpec) -> Iterator[None]:
    """Hold the work dir (first rank), put an earlier run away unless this one resumes, write the whole config."""
    if int(os.environ.get("RANK", "0")) != 0:
        yield
        return
    with locked(work_dir, patience_s=patience_of(os.environ)):
        config_file = work_dir / f"{Path(spec.config or 'config').stem}.py"
        goes_on = spec.resume == "auto" or (spec.resume and Path(spec.resume).parent.resolve() == work_dir.resolve())
        if not goes_on:
            moved = put_earlier_run_away(work_dir, keep=Path(spec.config or ""), run_dir=run_dir_of(spec))
            if moved is not None:
                get_logger().info("the earlier run's files were moved to %s", moved)
        cfg.dump(config_file)
        yield

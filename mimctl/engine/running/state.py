"""The whole state of a training as one checkpoint, and back."""

from __future__ import annotations

import contextlib
import itertools
import time
from typing import TYPE_CHECKING, Any

from mimctl import __version__
from mimctl.engine.checkpoints.checkpoint import find_latest, load_state_dict, require_whole
from mimctl.engine.model import allow_missing_pretrained
from mimctl.engine.optim.regroup import fitting
from mimctl.engine.random import rng_state, set_rng_state
from mimctl.engine.ranks import distributed
from mimctl.engine.ranks.gradients import gather_gradients, own_gradients
from mimctl.engine.ranks.split_tensors import is_split, put_together
from mimctl.engine.reporting.events import plain
from mimctl.engine.reporting.log import get_logger
from mimctl.engine.running.feed import set_sampler_seed
from mimctl.engine.schedule.build import flat
from mimctl.errors import MimctlError

if TYPE_CHECKING:
    from mimctl.engine.runner import Runner
    from mimctl.engine.schedule import ParamScheduler

Checkpoint = dict[str, Any]


def collect_state(
    runner: Runner, *, save_optimizer: bool = True, save_param_scheduler: bool = True, meta: Checkpoint | None = None
) -> Checkpoint:
    """Return the checkpoint of this moment; every rank must call it, each gives its random state.

    Inside the hooks after an iteration or epoch that one counts as done.
    """
    progress = runner.train_loop.state_dict()
    distributed.share(runner.bare_model.buffers())
    checkpoint: Checkpoint = {
        "meta": {**_meta(runner), "epoch": progress["epoch"], "iter": progress["iter"], **(meta or {})},
        "state_dict": {key: put_together(each.detach()).cpu() for key, each in runner.bare_model.state_dict().items()},
        "message_hub": runner.message_hub.state_dict(),
        "rng": distributed.gather_object(rng_state()) or [],
    }
    if "feed" in progress:  # a loop of the user's own may not know its place inside an epoch
        checkpoint["sampler"] = progress["feed"]
        checkpoint["loading"] = distributed.gather_object(runner.train_loop.feed.rank_state()) or []
    if save_optimizer:
        checkpoint["optimizer"] = gather_gradients(put_together(runner.optim_wrapper.state_dict()))
    if save_param_scheduler:
        checkpoint["param_schedulers"] = [each.state_dict() for each in flat(runner.param_schedulers)]
    return checkpoint


def restore_state(runner: Runner, checkpoint: Checkpoint) -> None:
    """Set a training to the state of a checkpoint whose weights are loaded already."""
    meta = checkpoint["meta"]
    # A scheduler sets the learning rate when it is built: that must come before the optimizer's state.
    schedulers = flat(runner.param_schedulers)
    progress: dict[str, Any] = {"epoch": meta.get("epoch", 0), "iter": meta.get("iter", 0)}
    if "sampler" in checkpoint:
        progress["feed"] = checkpoint["sampler"]
        progress["loading"] = _of_this_rank(checkpoint.get("loading", []))
    if isinstance(meta.get("seed"), int):
        runner.seed = meta["seed"]
        for loop in (runner.train_loop, *([runner.val_loop] if runner.has_validation else [])):
            set_sampler_seed(loop.dataloader, runner.seed)
    runner.train_loop.load_state_dict(progress, is_validated=bool(meta.get("is_validated", False)))
    checkpoint = fitting(checkpoint, runner.optim_wrapper, runner.bare_model)
    if "optimizer" in checkpoint:
        runner.optim_wrapper.load_state_dict(own_gradients(checkpoint["optimizer"]))
    if "param_schedulers" in checkpoint:
        _restore_schedulers(schedulers, _scheduler_states(checkpoint))
    runner.message_hub.load_state_dict(checkpoint.get("message_hub", {}))
    generators = _of_this_rank(checkpoint.get("rng", []))
    if generators is not None:
        set_rng_state(generators)
    else:
        get_logger().warning("the checkpoint has no random state for this number of ranks: the run goes on reseeded")


def load_or_resume(runner: Runner, *, resume: bool | str, load_from: str | None, initialize: bool) -> None:
    """Give the model its weights: those of the run that is resumed, else of `load_from`, else initial ones.

    `resume` is a path, or true (or "auto") for the newest whole checkpoint of the work dir; without one there the
    run starts anew. `initialize` says whether the model's `init_cfg` is followed first.
    """
    wanted = resume if isinstance(resume, str) and resume != "auto" else None
    if runner.is_resuming and wanted is None:
        # What rank 0 finds: another rank may see another state of the folder.
        found = find_latest(runner.work_dir) if distributed.is_main_process() else None
        wanted = distributed.from_first(str(found) if found else load_from)
    if runner.is_resuming and wanted is None:
        get_logger().info("nothing to resume in %s: the run starts anew", runner.work_dir)
        runner.is_resuming = False
    model: Any = runner.bare_model
    if initialize and hasattr(model, "init_weights"):
        comes_from_elsewhere = runner.is_resuming or load_from is not None
        with allow_missing_pretrained() if comes_from_elsewhere else contextlib.nullcontext():
            model.init_weights()
    # With a seed of its own each rank has drawn other weights.
    distributed.share(each for each in itertools.chain(model.parameters(), model.buffers()) if not is_split(each))
    if runner.is_resuming and wanted is not None:
        require_whole(wanted)
        runner.resume(wanted)
    elif load_from is not None:
        runner.load_checkpoint(load_from)


def load_weights(runner: Runner, checkpoint: Checkpoint, *, strict: bool = False) -> None:
    """Load a checkpoint's weights into the runner's model and say what did not fit."""
    report = load_state_dict(runner.bare_model, checkpoint["state_dict"], strict=strict)
    if not report.loaded:
        raise MimctlError(
            f"no tensor of the checkpoint fits {type(runner.bare_model).__name__}",
            code="weights-mismatch",
            causes=[report.summary()],
            hints=["check that the config is the one that the weights were trained with"],
        )
    log = get_logger().info if report.is_complete else get_logger().warning
    log("weights: %s", report.summary())


def _meta(runner: Runner) -> Checkpoint:
    dataset = runner.train_loop.dataloader.dataset
    return {
        "mimctl_version": __version__,
        "time": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "seed": runner.seed,
        "experiment_name": runner.experiment_name,
        "cfg": runner.config_text,
        "dataset_meta": plain(getattr(dataset, "metainfo", {}) or {}),
        "world_size": distributed.get_world_size(),
        "is_validated": runner.is_validating,
    }


def _of_this_rank(states: list[Any]) -> Any:
    """Return this rank's part of what all ranks gave, None where they were more or fewer."""
    return states[distributed.get_rank()] if len(states) == distributed.get_world_size() else None


def _restore_schedulers(schedulers: list[ParamScheduler], states: list[dict[str, Any]]) -> None:
    if len(schedulers) != len(states):
        get_logger().warning(
            "the checkpoint holds %d schedules, the config %d: those without a match start anew",
            len(states),
            len(schedulers),
        )
    for scheduler, state in zip(schedulers, states, strict=False):
        if "end" in state and state["end"] != scheduler.end:
            get_logger().warning(
                "`%s` goes on as it was saved, up to step %d, not to %d as the config says now",
                type(scheduler).__name__,
                state["end"],
                scheduler.end,
            )
        scheduler.load_state_dict(state)


def _scheduler_states(checkpoint: Checkpoint) -> list[dict[str, Any]]:
    states = checkpoint.get("param_schedulers", [])
    if isinstance(states, dict):
        return [each for group in states.values() for each in group]
    return list(states)

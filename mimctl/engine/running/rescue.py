"""What a training leaves behind when it fails: a checkpoint of where it was, and word of it in the error.

Between two steps the state is exactly what a resumed run needs: `interrupted.pth`, which `--resume` finds. Inside a
step it is not (batch norms have seen the batch, numbers were drawn): `failed.pth`, taken by `--resume failed.pth`.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from mimctl.engine.checkpoints.checkpoint import point_to
from mimctl.engine.data.failures import FetchTogether
from mimctl.engine.data.memory import memories_of
from mimctl.engine.data.passes import can_skip
from mimctl.engine.hooks.hook import Hook
from mimctl.engine.ranks import distributed
from mimctl.engine.reporting.log import get_logger
from mimctl.engine.running.finite import check_losses
from mimctl.errors import MimctlError

if TYPE_CHECKING:
    from mimctl.engine.runner import Runner

EXACT, INEXACT = "interrupted.pth", "failed.pth"
_BEHIND = {"after_train_iter": "iter_is_done", "after_train_epoch": "epoch_is_done"}


class Interrupted(KeyboardInterrupt):
    """Ctrl-C, at a moment when a checkpoint can be saved."""


class _StopHere(Hook):
    """Raise Interrupted at the next step."""

    priority = "LOWEST"

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        raise Interrupted

    def after_val_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        raise Interrupted


@contextlib.contextmanager
def saving_on_failure(runner: Runner) -> Iterator[None]:
    """Save where the training inside is when it fails, or at the next step after Ctrl-C; then let the error go on.

    Nothing is saved after a loss that is not a number, by several ranks (one that failed takes part in no exchange),
    and where nothing was trained. A second Ctrl-C stops at once.
    """
    loop = runner.train_loop
    begun_at = loop.iter
    with _listening(runner):
        try:
            yield
        except (Exception, Interrupted) as err:
            if distributed.get_world_size() == 1 and _is_worth_it(runner, err, begun_at):
                _save(runner, err)
            raise


@contextlib.contextmanager
def _listening(runner: Runner) -> Iterator[None]:
    is_main = threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGINT)
    if not is_main or before is not signal.default_int_handler or distributed.get_world_size() > 1:
        yield
        return

    def note(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, before)
        runner.register_hook(_StopHere())

    signal.signal(signal.SIGINT, note)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _is_worth_it(runner: Runner, err: BaseException, begun_at: int) -> bool:
    failed_at = runner.hook_table.failed_at
    point = failed_at.point if failed_at is not None else None
    done = runner.train_loop.iter + int(point == "after_train_iter")
    if done == begun_at or point in ("after_train", "after_run"):
        return False
    if isinstance(err, MimctlError) and err.code == "loss-not-finite":
        return False
    try:
        check_losses(runner)
    except MimctlError:
        return False
    return True


def _save(runner: Runner, err: BaseException) -> None:
    try:
        is_exact = _step_back_or_forth(runner)
        is_validated = not (_is_validating(runner) or runner.train_loop.iter_is_done or runner.train_loop.epoch_is_done)
        name = EXACT if is_exact else INEXACT
        path = runner.save_checkpoint(runner.work_dir, name, meta={"is_validated": is_validated})
        if is_exact:
            point_to(runner.work_dir, path)
    except Exception as problem:  # the first error is the one to be read; a full disk, say, fails here once more
        get_logger().warning("no checkpoint could be saved: %s", problem)
        return
    told = _told(path, is_exact, runner.train_loop.state_dict()["iter"])
    get_logger().warning("%s", told)
    err.add_note(told)


def _step_back_or_forth(runner: Runner) -> bool:
    """Bring the run to the nearest end of a step, and return whether it is exactly there."""
    loop, failed_at = runner.train_loop, runner.hook_table.failed_at
    if failed_at is not None and failed_at.point in _BEHIND:
        # What an uninterrupted run would have done at this point: the rest of its hooks.
        setattr(loop, _BEHIND[failed_at.point], True)
        for call in failed_at.others:
            call(runner, **failed_at.arguments)
        return True
    if getattr(loop, "is_stepping", True):
        return False
    if _is_validating(runner):
        return True
    if failed_at is not None and failed_at.point == "before_train_iter":
        loop.feed.position -= 1
    return not _draws_here(loop.dataloader)


def _is_validating(runner: Runner) -> bool:
    return bool(getattr(runner.__dict__.get("val_loop"), "is_running", False))


def _draws_here(loader: Any) -> bool:
    """Return whether loading a batch again would not give the same: it draws from this process, or remembers."""
    if memories_of(loader.dataset):
        return True
    return loader.num_workers == 0 and not (isinstance(loader.dataset, FetchTogether) and can_skip(loader))


def _told(path: Path, is_exact: bool, iteration: int) -> str:
    if is_exact:
        return f"the state after iteration {iteration} was saved as `{path}`: go on from it with `--resume`"
    return (
        f"the state inside iteration {iteration + 1} was saved as `{path}`: go on from it with `--resume {path}`, or "
        "exactly from the last regular checkpoint with `--resume`"
    )

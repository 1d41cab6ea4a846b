"""Stop a run whose loss is no longer a number, and say which term it was and when."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch

from mimctl.engine.ranks import distributed
from mimctl.engine.reporting.messages import read_scalars
from mimctl.errors import MimctlError

if TYPE_CHECKING:
    from mimctl.engine.runner import Runner

SKIPPED_AT_MOST = 10
"""Steps in a row that a loss scaler may leave out because the loss overflowed."""
TELLING_TAKES_S = 2.0
"""Seconds that ranks wait for the one whose loss went bad to end the run."""
_NEVER = 2**62

Outputs = Mapping[str, Any]


def check_losses(runner: Runner) -> None:
    """Raise MimctlError[loss-not-finite] if a remembered loss term of some rank is nan or infinite.

    Called by all ranks together, at log points and before a checkpoint is saved, where tensors are read anyway. Names
    the first bad term of the first bad iteration (1-based), as far back as the message hub remembers, and its rank.
    With a loss scaler a few bad losses in a row are no error: their steps are left out, the weights stay good.
    """
    recent = list(runner.message_hub.recent)
    bad = _first_bad(recent, tolerated=SKIPPED_AT_MOST if _has_scaler(runner.optim_wrapper) else 0)
    own = _NEVER if bad is None else int(bad["iteration"])
    first = own
    if distributed.get_world_size() > 1:
        first = int(distributed.all_reduce(torch.tensor(own), "min"))
    if first == _NEVER:
        return
    told = distributed.all_gather_object(bad)
    rank = next(rank for rank, each in enumerate(told) if each is not None and each["iteration"] == first)
    if rank != distributed.get_rank():
        # The rank itself tells what happened first; an agent stops the others then.
        time.sleep(TELLING_TAKES_S)
    raise _error(runner, told[rank], rank)


def _first_bad(recent: Sequence[tuple[int, Outputs]], *, tolerated: int) -> dict[str, Any] | None:
    """Return the first bad term as {"iteration", "term", "value", "is_oldest"}, None where there is none."""
    rows = [(iteration, _losses(outputs)) for iteration, outputs in recent]
    numbers = iter(read_scalars(value for _, losses in rows for value in losses.values()))
    values = [(iteration, {name: next(numbers) for name in losses}) for iteration, losses in rows]
    is_bad = [not all(map(math.isfinite, losses.values())) for _, losses in values]
    in_a_row = next((place for place, bad in enumerate(reversed(is_bad)) if not bad), len(is_bad))
    if True not in is_bad or in_a_row < min(tolerated, len(is_bad)):
        return None
    place = is_bad.index(True) if not tolerated else len(is_bad) - in_a_row
    if place == len(is_bad):
        return None
    iteration, losses = values[place]
    terms = {name: value for name, value in losses.items() if not math.isfinite(value)}
    # The sum `loss` is bad wherever a term is: the term tells more.
    name = next((name for name in terms if name != "loss"), "loss")
    return {"iteration": iteration + 1, "term": name, "value": str(terms[name]), "is_oldest": place == 0}


def _losses(outputs: Outputs) -> dict[str, Any]:
    return {name: value for name, value in outputs.items() if "loss" in name}


def _has_scaler(wrapper: Any) -> bool:
    wrappers = wrapper.values() if hasattr(wrapper, "optim_wrappers") else [wrapper]
    scalers = [getattr(each, "loss_scaler", None) for each in wrappers]
    return any(scaler is not None and scaler.is_enabled() for scaler in scalers)


def _error(runner: Runner, bad: Mapping[str, Any], rank: int) -> MimctlError:
    rates = runner.optim_wrapper.get_lr().get("lr", [])
    where = f" on rank {rank}" if distributed.get_world_size() > 1 else ""
    causes = [f"epoch {runner.epoch + 1}" + (f", learning rate {max(rates):.3g}" if rates else "")]
    if bad["is_oldest"] and bad["iteration"] > 1:
        causes.append("it may have been so before: earlier iterations are not remembered")
    return MimctlError(
        f"the loss term `{bad['term']}` became {bad['value']} at iteration {bad['iteration']}{where}",
        code="loss-not-finite",
        causes=causes,
        hints=[
            "lower the learning rate (`--lr`), or clip gradients: `optim_wrapper.clip_grad.max_norm=35`",
            "with `--amp`, try without it; look for annotations that make no sense (`mimctl data`)",
        ],
        details={"term": bad["term"], "iteration": bad["iteration"]},
    )

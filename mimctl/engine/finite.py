"""Stop a run whose loss is no longer a number, and say which term it was and when."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from mimctl.errors import MimctlError

if TYPE_CHECKING:
    from mimctl.engine.messages import MessageHub
    from mimctl.engine.runner import Runner


class _BadTerm(NamedTuple):
    steps_ago: int
    name: str
    value: float


def check_losses(runner: Runner) -> None:
    """Raise MimctlError[loss-not-finite] if a remembered loss term is nan or infinite.

    Called at log points and before a checkpoint is saved, where tensors are read anyway. Names the first bad
    iteration (1-based), as far back as the message hub remembers.
    """
    bad = _first_bad(runner.message_hub)
    if bad is None:
        return
    iteration = runner.message_hub.get_info("iter", runner.iter) + 1 - bad.steps_ago
    rates = runner.optim_wrapper.get_lr().get("lr", [])
    raise MimctlError(
        f"the loss term `{bad.name}` became {bad.value} at iteration {iteration}",
        code="loss-not-finite",
        causes=[f"epoch {runner.epoch + 1}" + (f", learning rate {max(rates):.3g}" if rates else "")],
        hints=[
            "lower the learning rate (`--lr`), or clip gradients: `optim_wrapper.clip_grad.max_norm=35`",
            "with `--amp`, try without it; look for annotations that make no sense (`mimctl data`)",
        ],
        details={"term": bad.name, "iteration": iteration},
    )


def _first_bad(hub: MessageHub) -> _BadTerm | None:
    found: list[_BadTerm] = []
    for key, history in hub.log_scalars.items():
        term = key.removeprefix("train/")
        if term == key or "loss" not in term:
            continue
        numbers = history.numbers()
        place = next((place for place, value in enumerate(numbers) if not math.isfinite(value)), None)
        if place is not None:
            found.append(_BadTerm(len(numbers) - 1 - place, term, numbers[place]))
    # The sum `loss` is bad wherever a term is: the term tells more.
    return max(found, key=lambda bad: (bad.steps_ago, bad.name != "loss"), default=None)

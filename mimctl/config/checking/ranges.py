"""Numbers out of their range: zero workers for a batch of none, a probability of 2, a negative learning rate."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from mimctl.config.checking.case import Case
from mimctl.config.checking.mistake import Mistake, Mistakes

_INF = float("inf")


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """The numbers that an argument may be; a list is looked at number by number."""

    low: float = -_INF
    high: float = _INF
    is_low_open: bool = False
    also: tuple[float, ...] = ()
    """Numbers outside that have a meaning of their own."""

    def holds(self, value: float) -> bool:
        """Say whether a number is inside."""
        return value in self.also or (
            (value > self.low if self.is_low_open else value >= self.low) and value <= self.high
        )

    def __str__(self) -> str:
        low = f"more than {self.low:g}" if self.is_low_open else f"at least {self.low:g}"
        also = "".join(f", or {each:g}" for each in self.also)
        return (low if self.high == _INF else f"{low} and at most {self.high:g}") + also


POSITIVE = Range(low=0, is_low_open=True)
COUNT = Range(low=1)
NOT_NEGATIVE = Range(low=0)
SHARE = Range(low=0, high=1)
INTERVAL = Range(low=1, also=(-1,))

PLAIN = {
    "train_dataloader.batch_size": COUNT,
    "train_dataloader.num_workers": NOT_NEGATIVE,
    "train_dataloader.prefetch_factor": COUNT,
    "val_dataloader.batch_size": COUNT,
    "val_dataloader.num_workers": NOT_NEGATIVE,
    "test_dataloader.batch_size": COUNT,
    "test_dataloader.num_workers": NOT_NEGATIVE,
    "auto_scale_lr.base_batch_size": COUNT,
    "randomness.seed": Range(low=0, high=2**32 - 1),
    "env_cfg.mp_cfg.opencv_num_threads": NOT_NEGATIVE,
    "optim_wrapper.clip_grad.max_norm": POSITIVE,
    "optim_wrapper.clip_grad.clip_value": POSITIVE,
}
"""Dotted path → range of its number."""

BY_KIND: dict[str, dict[str, Range]] = {
    "loop": {"max_epochs": COUNT, "max_iters": COUNT, "val_interval": COUNT, "val_begin": NOT_NEGATIVE},
    "hook": {
        "interval": INTERVAL,
        "max_keep_ckpts": INTERVAL,
        "patience": NOT_NEGATIVE,
        "priority": Range(low=0, high=100),
    },
    "optimizer": {
        "lr": NOT_NEGATIVE,
        "weight_decay": NOT_NEGATIVE,
        "momentum": NOT_NEGATIVE,
        "eps": NOT_NEGATIVE,
        "betas": SHARE,
    },
    "optim_wrapper": {"accumulative_counts": COUNT},
    "param_scheduler": {
        "begin": NOT_NEGATIVE,
        "T_max": COUNT,
        "step_size": COUNT,
        "gamma": NOT_NEGATIVE,
        "factor": SHARE,
        "start_factor": Range(low=0, high=1, is_low_open=True),
        "end_factor": SHARE,
        "eta_min": NOT_NEGATIVE,
        "milestones": NOT_NEGATIVE,
        "power": POSITIVE,
    },
    "log_processor": {"window_size": COUNT},
    "transform": {
        "prob": SHARE,
        "scale": Range(low=1, also=(-1,)),
        "img_scale": COUNT,
        "size": Range(low=1, also=(-1,)),
        "crop_size": POSITIVE,
        "scale_factor": POSITIVE,
        "ratio_range": POSITIVE,
        "size_divisor": COUNT,
        "max_cached_images": COUNT,
        "std": POSITIVE,
    },
    "model": {
        "num_classes": COUNT,
        "in_channels": COUNT,
        "out_channels": COUNT,
        "pad_size_divisor": COUNT,
        "std": POSITIVE,
    },
}
"""Kind → argument → range of its numbers."""


def find_numbers_out_of_range(case: Case) -> Mistakes:
    """Yield numbers that no run could do anything with."""
    for path, wanted in PLAIN.items():
        yield from _check(path, path.rpartition(".")[2], case.config.select(path), wanted)
    for part in case.parts:
        found = part.type if part.type and part.type.is_sure else None
        for name, wanted in BY_KIND.get(found.kind, {}).items() if found else ():
            if name in part.value and (name in found.params or name == "priority"):  # type: ignore[union-attr]
                yield from _check(f"{part.path}.{name}", f"{part.name}.{name}", part.value[name], wanted)


def _check(path: str, shown: str, value: Any, wanted: Range) -> Mistakes:
    for each in _numbers(value):
        if not wanted.holds(each):
            message = f"`{shown}` is {each!r}, and has to be {wanted}"
            yield Mistake(path=path, message=message, code="bad-value", causes=(f"it is at `{path}`",))
            return


def _numbers(value: Any) -> Iterator[float]:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        yield value
    elif isinstance(value, (list, tuple)):
        for each in value:
            yield from _numbers(each)

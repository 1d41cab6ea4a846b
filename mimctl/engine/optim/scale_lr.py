"""Scale the learning rate with the batch size (the linear rule of Goyal et al., arXiv:1706.02677)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mimctl.engine.optim.wrapper import OptimWrapper
from mimctl.engine.optim.wrapper_dict import OptimWrapperDict
from mimctl.engine.reporting.log import get_logger
from mimctl.errors import ConfigError, did_you_mean, nearest

_KEYS = ("enable", "base_batch_size")


def scale_lr(optim_wrapper: OptimWrapper, auto_scale_lr: Mapping[str, Any] | None, batch_size: int) -> float:
    """Multiply learning rates by samples per step / `base_batch_size` if `auto_scale_lr.enable`; return the factor.

    `batch_size` counts the samples of one iteration: batch per rank x ranks. A step of the optimizer takes as many
    iterations as its wrapper accumulates; of several optimizers each is scaled by its own factor, the first's is
    returned. It has to come before schedulers are built: they start from the scaled rates, while what they take as
    absolute numbers (`eta_min`, `eta_max`) stays as the config has it.
    """
    options = dict(auto_scale_lr or {})
    for key in options:
        if key not in _KEYS:
            hints = did_you_mean(nearest(key, _KEYS, most=1))
            raise ConfigError(f"`auto_scale_lr` has no option `{key}`", hints=hints)
    if not options.get("enable"):
        return 1.0
    base = options.get("base_batch_size")
    if not base or base < 1:
        raise ConfigError(
            "`auto_scale_lr` needs `base_batch_size`",
            hints=["it is the batch size that the learning rate was chosen for: `auto_scale_lr.base_batch_size=16`"],
        )
    wrappers = dict(optim_wrapper.items()) if isinstance(optim_wrapper, OptimWrapperDict) else {"": optim_wrapper}
    factors = [_scale(each, name, batch_size, base) for name, each in wrappers.items()]
    return factors[0]


def _scale(wrapper: OptimWrapper, name: str, batch_size: int, base: int) -> float:
    samples = batch_size * wrapper.accumulative_counts
    factor: float = samples / base
    for group in wrapper.param_groups:
        if "initial_lr" in group:
            raise ConfigError(
                "the learning rate is scaled after a scheduler has taken it",
                hints=["call `scale_lr` before schedulers are built"],
            )
        group["lr"] *= factor
    get_logger().info(
        "learning rate%s scaled by %.4g: %d samples a step, the config was made for %d",
        f" of `{name}`" if name else "",
        factor,
        samples,
        base,
    )
    return factor

"""Scale the learning rate with the batch size (the linear rule of Goyal et al., arXiv:1706.02677)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mimctl.engine.log import get_logger
from mimctl.engine.optim.wrapper import OptimWrapper
from mimctl.errors import ConfigError, nearest


def scale_lr(optim_wrapper: OptimWrapper, auto_scale_lr: Mapping[str, Any] | None, batch_size: int) -> float:
    """Multiply all learning rates by `batch_size / base_batch_size` if `auto_scale_lr.enable`; return the factor.

    `batch_size` counts the samples of one optimizer step: batch per rank x ranks x accumulated iterations.
    """
    options = dict(auto_scale_lr or {})
    for key in options:
        if key not in ("enable", "base_batch_size"):
            near = nearest(key, ["enable", "base_batch_size"])
            raise ConfigError(
                f"`auto_scale_lr` has no option `{key}`", hints=[f"did you mean `{near[0]}`?"] if near else []
            )
    if not options.get("enable"):
        return 1.0
    if "base_batch_size" not in options:
        raise ConfigError(
            "`auto_scale_lr` needs `base_batch_size`",
            hints=["it is the batch size that the learning rate was chosen for: `auto_scale_lr.base_batch_size=16`"],
        )
    ratio: float = batch_size / options["base_batch_size"]
    for group in optim_wrapper.param_groups:
        group["lr"] *= ratio
    if optim_wrapper.base_param_settings is not None:
        optim_wrapper.base_param_settings["lr"] *= ratio
    get_logger().info(
        "learning rate scaled by %.4g: batch size %d, the config was made for %d",
        ratio,
        batch_size,
        options["base_batch_size"],
    )
    return ratio

"""One word for the precision of a training: the config's `precision` as an optimizer wrapper's type and options."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mimctl.engine.optim.wrapper import OptimWrapper
from mimctl.errors import ConfigError, did_you_mean, nearest

PRECISIONS = {"32": None, "16-mixed": "float16", "bf16-mixed": "bfloat16"}
"""Word → what the forward pass computes in beside 32-bit floats, which parameters always are."""
_WRAPPERS = ("OptimWrapper", "AmpOptimWrapper")


def with_precision(cfg: Any, precision: str | int | None) -> Any:
    """Return the config of an optimizer wrapper with the type and options of a precision; None changes nothing.

    Raises ConfigError for an unknown word, for a wrapper of another type and for one that is built already.
    """
    if precision is None:
        return cfg
    word = str(precision)
    if word not in PRECISIONS:
        hints = did_you_mean(nearest(word, list(PRECISIONS), most=1))
        known = ", ".join(f"`{each}`" for each in PRECISIONS)
        raise ConfigError(f"`precision` is {known}, not `{word}`", code="bad-value", hints=hints)
    if isinstance(cfg, OptimWrapper) or not isinstance(cfg, Mapping):
        raise ConfigError("`precision` needs an optimizer wrapper that is still a config", code="bad-argument")
    kind = cfg.get("type", "OptimWrapper")
    name = kind if isinstance(kind, str) else getattr(kind, "__name__", str(kind))
    if name.rpartition(".")[2] not in _WRAPPERS:
        raise ConfigError(
            f"`precision` chooses between {' and '.join(_WRAPPERS)}, and `optim_wrapper` is a `{name}`",
            code="contradiction",
            hints=["leave `precision` out"],
        )
    dtype = PRECISIONS[word]
    if dtype is not None:
        return {**cfg, "type": "AmpOptimWrapper", "dtype": dtype}
    plain = {key: value for key, value in cfg.items() if key not in ("loss_scale", "dtype", "use_fsdp")}
    return {**plain, "type": "OptimWrapper"}

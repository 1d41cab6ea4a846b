"""Which of two metric values is better: for hooks that keep the best checkpoint, and for sweeps."""

from __future__ import annotations

from collections.abc import Sequence

from mimctl.errors import ConfigError

_GREATER = ("acc", "top", "ar@", "auc", "precision", "map", "mdice", "miou", "mfscore", "mf1", "recall", "iou", "dice")
_GREATER_ENDINGS = ("_ap", "/ap", "ap50", "ap75", "_ar", "f1", "hmean", "pck", "psnr", "ssim")
_LESS = ("loss", "error", "mae", "mse", "nme", "epe", "fid")


def rule_of(name: str, greater_keys: Sequence[str] | None = None, less_keys: Sequence[str] | None = None) -> str:
    """Return "greater" or "less" for a metric's name; ConfigError where the name does not tell.

    `greater_keys` and `less_keys` take the place of the known words: a key that is the name counts before one that is
    part of it, and what is greater before what is less (as in MMEngine). Upper and lower case are the same.
    """
    key = name.lower()
    given = [("greater", [each.lower() for each in greater_keys or ()]),
             ("less", [each.lower() for each in less_keys or ()])]  # fmt: skip
    for rule, words in given:
        if key in words:
            return rule
    for rule, words in given:
        if any(word in key for word in words):
            return rule
    if less_keys is None and any(word in key for word in _LESS):
        return "less"
    if greater_keys is None and (
        any(word in key for word in _GREATER) or key.endswith(_GREATER_ENDINGS) or key in ("ap", "ar")
    ):
        return "greater"
    raise ConfigError(
        f"it is not known whether a greater or a smaller `{name}` is better",
        hints=["say so with `rule='greater'` or `rule='less'`"],
    )


def better(value: float, best: float, rule: str) -> bool:
    """Return whether `value` is better than `best`."""
    if rule not in ("greater", "less"):
        raise ConfigError(f"`rule` must be `greater` or `less`, got `{rule}`")
    return value > best if rule == "greater" else value < best

"""The options of CheckpointHook: what they may be, said before anything is trained."""

from __future__ import annotations

import string
from collections.abc import Callable, Sequence

from mimctl.errors import ConfigError, did_you_mean, nearest

RULES = ("greater", "less")


def as_list(value: str | Sequence[str] | None) -> list[str]:
    """Return one text or several as a list, [] for None."""
    return [value] if isinstance(value, str) else list(value or ())


def check_begin(save_begin: int) -> int:
    """Return `save_begin`; raise ConfigError for a negative one."""
    if save_begin < 0:
        raise ConfigError(f"`save_begin` counts finished epochs or iterations, got {save_begin}")
    return save_begin


def check_template(template: str) -> str:
    """Return a template of file names; raise ConfigError for one that is a path, or has not exactly one number."""
    try:
        fields = [field for field in string.Formatter().parse(template) if field[1] is not None]
        is_number = len(fields) == 1 and fields[0][1] in ("", "0") and fields[0][3] is None
        names = {template.format(number) for number in (1, 12)} if is_number else set()
    except (ValueError, IndexError, KeyError):
        names = set()
    if len(names) != 2:
        raise ConfigError(
            f"`filename_tmpl` must hold one `{{}}` for the number, got `{template}`",
            hints=["write `filename_tmpl='epoch_{}.pth'`"],
        )
    if any(character in template for character in "/\\\0") or template.startswith((".", "best_")):
        raise ConfigError(
            f"`filename_tmpl` must be the name of a file, got `{template}`",
            hints=["checkpoints go to another folder with `out_dir`"],
        )
    return template


def check_best(names: Sequence[str]) -> None:
    """Raise ConfigError for names of metrics that stand twice, or "auto" beside others."""
    if len(set(names)) != len(names):
        raise ConfigError(f"`save_best` names a metric twice: {', '.join(names)}")
    if "auto" in names and len(names) > 1:
        raise ConfigError('`save_best` is "auto" or names of metrics, not both')


def rules_of(names: Sequence[str], rules: Sequence[str], guess: Callable[[str], str]) -> dict[str, str]:
    """Return each metric's rule, given or guessed; "auto" has none until a metric is known.

    Raises ConfigError for unknown rules, another number of them than of metrics, and names that do not tell.
    """
    for rule in rules:
        if rule not in RULES:
            raise ConfigError(
                f"`rule` must be `greater` or `less`, got `{rule}`", hints=did_you_mean(nearest(str(rule), RULES))
            )
    if rules and len(rules) not in (1, len(names)):
        raise ConfigError("`rule` must be one for all or one for each of `save_best`")
    given = dict(zip(names, rules if len(rules) > 1 else list(rules) * len(names), strict=False))
    return {**{name: guess(name) for name in names if name not in given and name != "auto"}, **given}

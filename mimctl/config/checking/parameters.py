"""`custom_keys` against the names that the code of the model gives to its parts."""

from __future__ import annotations

from collections.abc import Collection
from fnmatch import fnmatchcase

from mimctl.config.checking.case import Case
from mimctl.config.checking.mistake import Mistake, Mistakes
from mimctl.config.checking.plain_keys import model_names
from mimctl.config.language.limits import origin_of
from mimctl.config.values import ConfigDict
from mimctl.errors import nearest

_PATH = "optim_wrapper.paramwise_cfg.custom_keys"
_OF_TORCH = frozenset(
    ["weight", "bias", "in_proj_weight", "in_proj_bias", "out_proj", "q_proj_weight", "k_proj_weight", "v_proj_weight",
     "weight_*", "bias_*", "module"]
)  # fmt: skip
"""Names that torch's own layers give to their parameters and parts."""


def find_idle_custom_keys(case: Case) -> Mistakes:
    """Yield keys that can be part of no parameter's name, where the code of every part of the model is known."""
    keys = case.config.select(_PATH)
    names = model_names(case) if isinstance(keys, ConfigDict) else set()
    if not names or case.is_open:
        return
    known = names | _OF_TORCH | {str(name) for part in case.below("model") for name in part.value}
    for key in keys:
        wrong = unmatched(str(key), known)
        if wrong:
            near = nearest(wrong[0], [each for each in known if "*" not in each], most=1)
            place = keys.place_of(key)
            yield Mistake(
                path=f"{_PATH}.{key}",
                message=f"`custom_keys` names `{key}`, which is part of no parameter's name",
                code="unknown-parameter",
                causes=(f"no part of the model is called `{wrong[0]}`",),
                near=tuple(str(key).replace(wrong[0], each) for each in near),
                place=origin_of(place) if place else None,
            )


def unmatched(key: str, names: Collection[str]) -> list[str]:
    """Return the pieces between the dots of a key that match no name: whole at inner ones, in part at its ends."""
    pieces = key.split(".")
    last = len(pieces) - 1
    return [
        piece
        for index, piece in enumerate(pieces)
        if piece and not piece.isdigit() and not _matches(piece, names, is_first=index == 0, is_last=index == last)
    ]


def _matches(piece: str, names: Collection[str], *, is_first: bool, is_last: bool) -> bool:
    if piece in names:
        return True
    pattern = f"{'*' if is_first else ''}{piece}{'*' if is_last else ''}"
    return any(fnmatchcase(name, pattern) or ("*" in name and _may_match(name, pattern)) for name in names)


def _may_match(name: str, pattern: str) -> bool:
    """Say whether a name that is a pattern itself (`stage*`) may be what the key's pattern means."""
    piece = pattern.strip("*")
    head, _, tail = name.partition("*")
    if fnmatchcase(piece, name) or (head and fnmatchcase(head, pattern)) or (tail and fnmatchcase(tail, pattern)):
        return True
    return pattern.startswith("*") and fnmatchcase(piece, f"*{name}*") and len(head) > 2

"""Top-level keys: one that looks like a key of a run and is none, and keys of the generation of configs before."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mimctl.config.checking.case import Case
from mimctl.config.checking.mistake import Mistake, Mistakes
from mimctl.config.checking.spelling import slips
from mimctl.config.language.evaluate import BASE
from mimctl.config.schema import OLD_KEYS, RUNNER_KEYS, TOOL_KEYS, VARIABLE_KEYS

_KNOWN = RUNNER_KEYS | TOOL_KEYS
_SUFFIXES = (".py", ".yaml", ".yml", ".json")


def find_unknown_keys(case: Case) -> Mistakes:
    """Yield top-level keys that nothing reads: misspelled ones, bases under another name, keys of old."""
    for key in case.config:
        if not isinstance(key, str) or key in _KNOWN | VARIABLE_KEYS:
            continue
        near = _meant(key, case.config[key])
        if near and not case.config.reads_variable(key):
            yield Mistake(
                path=key, message=f"nothing reads the top-level key `{key}`", code="unknown-key", near=(near,)
            )
        elif key in OLD_KEYS and not case.config.reads_variable(key):
            message = f"nothing reads the top-level key `{key}`: it belongs to configs of the generation before"
            yield Mistake(path=key, message=message, code="unknown-key", hints=(OLD_KEYS[key],))


def _meant(key: str, value: Any) -> str | None:
    if key.strip("_") in ("base", "bases") and _names_files(value):
        return BASE
    near = slips(key, _KNOWN)
    singular = key.removesuffix("s")
    if not near and singular != key and _LOOKS_LIKE.get(singular, _never)(value):
        return singular
    return near[0] if near else None


def _names_files(value: Any) -> bool:
    names = value if isinstance(value, (list, tuple)) else [value]
    return bool(names) and all(isinstance(each, str) and each.endswith(_SUFFIXES) for each in names)


def _never(value: Any) -> bool:
    return False


_LOOKS_LIKE: dict[str, Callable[[Any], bool]] = {
    "model": lambda value: isinstance(value, dict) and "type" in value,
    "param_scheduler": lambda value: isinstance(value, (dict, list)),
    "optim_wrapper": lambda value: isinstance(value, dict) and "optimizer" in value,
    "train_dataloader": lambda value: isinstance(value, dict) and "dataset" in value,
    "val_dataloader": lambda value: isinstance(value, dict) and "dataset" in value,
    "test_dataloader": lambda value: isinstance(value, dict) and "dataset" in value,
}
"""Key → whether a value under its plural is what the key takes."""

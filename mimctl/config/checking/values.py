"""Values of another type than a key or argument takes: text for a number, one number for two, a word nobody knows."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Any

from mimctl.config.checking.case import Case, Part
from mimctl.config.checking.mistake import Mistake, Mistakes
from mimctl.config.checking.spelling import slips
from mimctl.config.schema import (
    BACKENDS,
    LOG_LEVELS,
    MARKS,
    PARAMWISE_VALUES,
    PLAIN_VALUES,
    SUPPRESSIONS,
    TOP_VALUES,
    WORDS,
)
from mimctl.config.tables.annotations import choices, described, fits
from mimctl.config.values import ConfigDict
from mimctl.errors import nearest

_PRIORITIES = ("HIGHEST", "VERY_HIGH", "HIGH", "ABOVE_NORMAL", "NORMAL", "BELOW_NORMAL", "LOW", "VERY_LOW", "LOWEST")


def find_wrong_values(case: Case) -> Mistakes:
    """Yield values of top-level keys, plain dicts and arguments that are of the wrong type."""
    yield from _of(case.config, "", TOP_VALUES)
    for path, known in PLAIN_VALUES.items():
        yield from _of(case.config.select(path), path, known)
    yield from _of(case.config.select("optim_wrapper.paramwise_cfg"), "optim_wrapper.paramwise_cfg", PARAMWISE_VALUES)
    for part in case.parts:
        yield from _of_arguments(part)
    yield from _words(case)


def _of(holder: Any, path: str, known: Mapping[str, str]) -> Mistakes:
    if not isinstance(holder, Mapping) or (path and "type" in holder and path.endswith("_dataloader")):
        return
    for key, annotation in known.items():
        if key in holder and not fits(holder[key], annotation):
            yield wrong(f"{path}.{key}" if path else key, key, holder[key], annotation)


def _of_arguments(part: Part) -> Mistakes:
    """Yield arguments that no type that the name may stand for would take."""
    wanted = [each for each in part.wanted if each.is_sure]
    for key, value in part.value.items() if wanted else ():
        annotations = [each.params.get(key, {}).get("type") for each in wanted]
        if key in MARKS or not all(annotations) or any(fits(value, str(each)) for each in annotations):
            continue
        yield wrong(f"{part.path}.{key}", f"{part.name}.{key}", value, str(annotations[0]))


def wrong(path: str, shown: str, value: Any, annotation: str) -> Mistake:
    """Return the mistake of a value that an annotation does not allow."""
    words = choices(annotation)
    near = nearest(value, words) if isinstance(value, str) and words else []
    return Mistake(
        path=path,
        message=f"`{shown}` is {_shown(value)}, and takes {described(annotation)}",
        code="bad-value",
        causes=(f"it is at `{path}`",),
        near=tuple(near),
        hints=_hints(value, annotation),
    )


def _hints(value: Any, annotation: str) -> tuple[str, ...]:
    if isinstance(value, str):
        try:
            meant = ast.literal_eval(value)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            return ()
        return (f"write {value} without quotes",) if fits(meant, annotation) else ()
    if fits([value], annotation):
        return ("put it in a list: `[…]`",)
    if isinstance(value, (list, tuple)) and len(value) == 1 and fits(value[0], annotation):
        return (f"write {value[0]!r} without the list; a comma at the end of a line makes a tuple",)
    return ()


def _shown(value: Any) -> str:
    if isinstance(value, ConfigDict):
        return "a dict"
    if isinstance(value, (list, tuple)) and any(isinstance(each, (dict, list, tuple)) for each in value):
        return f"a {type(value).__name__}"
    text = repr(value)
    kind = next((word for kind, word in _KINDS.items() if isinstance(value, kind)), "")
    return f"{kind}{text if len(text) <= 60 else text[:57] + '…'}"


_KINDS: dict[type, str] = {str: "the text ", list: "the list ", tuple: "the tuple "}


def _words(case: Case) -> Mistakes:
    """Yield words outside of the few that a key allows, upper or lower case."""
    level = case.config.get("log_level")
    if level is not None and not isinstance(level, int) and str(level).upper() not in LOG_LEVELS:
        yield _word("log_level", level, LOG_LEVELS)
    yield from _slip(case.config.select("env_cfg.dist_cfg.backend"), "env_cfg.dist_cfg.backend", BACKENDS)
    for path, value in case.dicts:
        if path.endswith("_cfg.nms"):
            yield from _slip(value.get("type"), f"{path}.type", SUPPRESSIONS)
    for part in case.parts:
        yield from _words_of(part)
        priority = part.value.get("priority") if part.type and part.type.kind == "hook" else None
        if isinstance(priority, str) and priority.upper() not in _PRIORITIES:
            yield _word(f"{part.path}.priority", priority, _PRIORITIES)


def _words_of(part: Part) -> Mistakes:
    """Yield words of arguments that only ever have one of a few."""
    found = part.type if part.type is not None and part.type.is_sure else None
    for name, words in WORDS.get(found.kind, {}).items() if found is not None else ():
        owner, _, key = name.rpartition(".")
        if found is None or key not in found.params or key not in part.value or owner not in ("", part.name):
            continue
        given = part.value[key]
        for each in given if isinstance(given, (list, tuple)) else [given]:
            if isinstance(each, str) and each not in words:
                yield _word(f"{part.path}.{key}", each, words)


def _slip(value: Any, path: str, words: tuple[str, ...]) -> Mistakes:
    """Yield a word that looks like one of several, of which there may be others."""
    if isinstance(value, str) and value not in words and slips(value, words):
        yield _word(path, value, words)


def _word(path: str, value: Any, words: tuple[str, ...]) -> Mistake:
    near = nearest(str(value), words) or nearest(str(value).upper(), words)
    hints = () if near else (f"it is one of {', '.join(words)}",)
    message = f"`{path}` is {value!r}, which is none of its words"
    return Mistake(path=path, message=message, code="bad-value", near=tuple(near), hints=hints)

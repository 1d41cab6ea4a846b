"""Arguments: those that a type does not take, those that it needs, and what a base left behind."""

from __future__ import annotations

from collections.abc import Sequence

from mimctl.config.checking.case import Case, Part
from mimctl.config.checking.mistake import Mistake, Mistakes
from mimctl.config.checking.spelling import slips
from mimctl.config.checking.tables import Type
from mimctl.config.language.limits import origin_of
from mimctl.config.schema import DEFAULT_CONSTRUCTOR, MARKS, NAMED_TYPES, also_taken
from mimctl.config.values import Place
from mimctl.errors import nearest

DELETE = "_delete_"


def find_wrong_arguments(case: Case) -> Mistakes:
    """Yield arguments that a type does not take or lacks, where no type of that name would do."""
    constructor = case.config.select("optim_wrapper.constructor")
    for part in case.parts:
        wanted = part.wanted
        if part.path == "optim_wrapper.optimizer" and constructor not in (None, DEFAULT_CONSTRUCTOR):
            continue  # the constructor may take arguments for itself
        if wanted and all(_is_refused(each, part) for each in wanted):
            yield from _unknown(case, part, wanted[0])
            yield from _missing(part, wanted[0]) if case.is_whole else ()
        elif part.type is not None and part.type.extra and part.type.is_sure:
            yield from _slips(case, part, part.type)


def find_idle_deletions(case: Case) -> Mistakes:
    """Yield `_delete_` where there is nothing to delete, and what looks like it."""
    for path, value in case.dicts:
        for key in value:
            if key == DELETE:
                yield Mistake(
                    path=f"{path}.{key}",
                    message=f"`{DELETE}` at `{path}` deletes nothing",
                    code="delete-without-effect",
                    causes=("no base has a dict there, or a dict around it is replaced as a whole",),
                    hints=("leave it out, or write it in the dict that a base gives",),
                )


def _is_refused(found: Type, part: Part) -> bool:
    return bool(found.unknown(part.value, part.path) or found.missing(part.value, part.path) or _needed(found, part))


def _unknown(case: Case, part: Part, found: Type) -> Mistakes:
    for key in found.unknown(part.value, part.path):
        own = [*found.params, *also_taken(found.kind, part.path), DELETE]
        causes, hints = _inherited(case, part, key)
        yield Mistake(
            path=f"{part.path}.{key}",
            message=f"`{found.name}` takes no argument `{key}`",
            code="bad-argument",
            causes=(f"it is at `{part.path}.{key}`", *causes),
            near=tuple(nearest(str(key), own)),
            hints=hints,
        )


def _slips(case: Case, part: Part, found: Type) -> Mistakes:
    """Yield arguments of a type that takes any, which look like those it has, or like those of what it builds."""
    known = {*found.params, *also_taken(found.kind, part.path)}
    for key, kind in NAMED_TYPES.items():
        name = part.value.get(key, found.default(key)) if key in found.params else None
        for each in case.tables.find(name, part.scopes) if isinstance(name, str) else ():
            known.update(each.params if each.kind == kind else ())
    for key in part.value:
        near = [] if key in known or key in MARKS or not isinstance(key, str) else slips(key, known)
        if near:
            yield Mistake(
                path=f"{part.path}.{key}",
                message=f"`{found.name}` takes no argument `{key}`",
                code="bad-argument",
                causes=(f"it is at `{part.path}.{key}`",),
                near=tuple(near[:1]),
            )


def _missing(part: Part, found: Type) -> Mistakes:
    unknown = found.unknown(part.value, part.path)
    for key in [*found.missing(part.value, part.path), *_needed(found, part)]:
        near = [name for name in unknown if nearest(str(name), [key])]
        yield Mistake(
            path=f"{part.path}.type" if "type" in part.value else part.path,
            message=f"`{found.name}` at `{part.path}` needs the argument `{key}`",
            code="missing-argument",
            hints=() if near else (f"write `{key}=…` there, or `--cfg-options {part.path}.{key}=…`",),
        )


def _needed(found: Type, part: Part) -> list[str]:
    """Return the arguments that the type could be built without, but not used."""
    return [key for key in found.facts.get("needs", ()) if not part.value.get(key) and key in found.params]


def _inherited(case: Case, part: Part, key: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Explain an argument that a base gave to another type than the one that stands there now."""
    type_place, place = part.value.place_of("type"), part.value.place_of(key)
    if not type_place or not place or _rank(case, place) >= _rank(case, type_place):
        return (), ()
    where = case.config.origin(f"{part.path}.type")
    cause = f"`type` is set at {where}, and the argument was given to another type at {origin_of(place)}"
    return (cause,), (f"write `{DELETE}=True` beside `type` to drop what the base gave",)


def _is_later(file: str, other: str, files: Sequence[str]) -> bool:
    """Return whether a file counts more than another; the command line, which is no file, counts most."""
    return file not in files or files.index(file) > files.index(other)


def _rank(case: Case, place: Place) -> int:
    """Return how late a place has its say: bases first, then the file itself, then the command line."""
    files = case.config.files
    return files.index(place[0]) if place[0] in files else len(files)

"""Whether toolboxes that were found go together, and with the engine beside them (pure)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

from mimctl.plugin.model import BrokenPlugin, Plugin

Misfit = Literal["too old", "too new", "unreadable"]


def refuse_other_engines(plugins: Sequence[Plugin | BrokenPlugin], engine: str | None) -> list[Plugin | BrokenPlugin]:
    """Return the toolboxes, those that need another engine as broken; where none is there, as they are."""
    if engine is None:
        return list(plugins)  # a run in this environment is refused for that
    checked: list[Plugin | BrokenPlugin] = []
    for each in plugins:
        wanted = each.manifest.requires_engine if isinstance(each, Plugin) else None
        misfit = None if wanted is None else misfit_of(wanted, engine)
        if isinstance(each, Plugin) and misfit is not None:
            hint = "bring a newer engine: `mimctl upgrade --all`"
            if misfit != "too old":
                hint = f"bring a newer {each.name}: `mimctl upgrade {each.name}`"
            reason = f"it needs mimctl {wanted}, this environment has {engine}"
            checked.append(_broken(each, reason, "engine-version", (hint,)))
        else:
            checked.append(each)
    return checked


def misfit_of(wanted: str, engine: str) -> Misfit | None:
    """Return how an engine's version does not fit `requires_engine`, None where it does or cannot be compared.

    "unreadable": `wanted` has the look of versions (`>=abc`) and is none.
    """
    if _fits_plainly(wanted, engine):
        return None
    from packaging.specifiers import InvalidSpecifier, SpecifierSet
    from packaging.version import InvalidVersion, Version

    try:
        specifiers = SpecifierSet(wanted)
    except InvalidSpecifier:
        return "unreadable"
    try:
        there = Version(engine)
    except InvalidVersion:
        return None
    if specifiers.contains(engine, prereleases=True):
        return None
    for each in specifiers:
        if each.operator in (">=", ">", "~=", "==", "==="):
            try:
                if there < Version(each.version.removesuffix(".*")):
                    return "too old"
            except InvalidVersion:  # `===` takes any text
                continue
    return "too new"


def _fits_plainly(wanted: str, engine: str) -> bool:
    """Return whether a plain range (`>=0.1,<0.2`) holds a finished release; importing packaging would cost a bare
    interpreter's start, and nearly all toolboxes are beside the engine that they were made for.
    """
    bounds = [_BOUND.fullmatch(each.strip()) for each in wanted.split(",")]
    if not _RELEASE.fullmatch(engine) or None in bounds:
        return False
    there = _numbers(engine)
    return all(there >= _numbers(each[2]) if each[1] == ">=" else there < _numbers(each[2]) for each in bounds if each)


_RELEASE = re.compile(r"\d{1,9}(?:\.\d{1,9}){0,5}", re.ASCII)
_BOUND = re.compile(rf"(>=|<)\s*({_RELEASE.pattern})", re.ASCII)


def _numbers(release: str) -> tuple[int, ...]:
    numbers = [int(each) for each in release.split(".")]
    return (*numbers, *[0] * (6 - len(numbers)))


def refuse_shared_words(plugins: Sequence[Plugin | BrokenPlugin]) -> list[Plugin | BrokenPlugin]:
    """Return the toolboxes, those that share a name, an alias or a scope with another distribution as broken."""
    owners: dict[str, list[Plugin | BrokenPlugin]] = {}
    for each in plugins:
        for word in dict.fromkeys((each.name, *(each.manifest.words if isinstance(each, Plugin) else each.words))):
            owners.setdefault(word, []).append(each)
    checked: list[Plugin | BrokenPlugin] = []
    for each in plugins:
        shared = [word for word, claimants in owners.items() if len(claimants) > 1 and each in claimants]
        checked.append(_refused(each, shared[0], owners[shared[0]]) if shared else each)
    return checked


def _refused(plugin: Plugin | BrokenPlugin, word: str, claimants: Sequence[Plugin | BrokenPlugin]) -> BrokenPlugin:
    others = [each.distribution for each in claimants if each is not plugin]
    reason = f"the name `{word}` is claimed by {plugin.distribution} and by {' and '.join(others)}"
    hints = [f"keep one of them: `mimctl uninstall {each.distribution}`" for each in claimants[:1]]
    hints += [f"or: `mimctl uninstall {each.distribution}`" for each in claimants[1:]]
    return _broken(plugin, reason, "name-claimed-twice", tuple(hints))


def _broken(plugin: Plugin | BrokenPlugin, reason: str, code: str, hints: tuple[str, ...]) -> BrokenPlugin:
    return BrokenPlugin(
        name=plugin.name,
        distribution=plugin.distribution,
        version=plugin.version,
        reason=reason,
        code=code,
        hints=hints,
        words=plugin.manifest.words if isinstance(plugin, Plugin) else plugin.words,
        package_dir=plugin.package_dir,
    )

"""What people name in `install`: toolboxes, their aliases, distributions, perhaps with a specifier (pure)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from mimctl.environment.distributions import normalise
from mimctl.errors import MimctlError, UsageError, nearest
from mimctl.index.model import Index, Toolbox
from mimctl.resolution.names import PREFIX as PREFIX
from mimctl.resolution.names import is_own as is_own

if TYPE_CHECKING:
    from packaging.requirements import Requirement


def parse_requests(words: Iterable[str], index: Index, installed: Iterable[str]) -> tuple[Requirement, ...]:
    """Return a requirement for each word that a person typed.

    A toolbox or an alias of one (`det`, `mmdet`) is its distribution; an alias with a specifier (`mmdet==3.3.0`) is
    that other project's distribution. Raises MimctlError[unknown-plugin] with the nearest names, UsageError where a
    word is no requirement at all.
    """
    return tuple(_parse(word, index, frozenset(installed)) for word in words)


def distribution_of(word: str, toolboxes: Mapping[str, Toolbox]) -> str | None:
    """Return the distribution that a toolbox's name or alias stands for."""
    name = normalise(word)
    for toolbox in toolboxes.values():
        if name in (normalise(toolbox.name), *(normalise(alias) for alias in toolbox.aliases)):
            return normalise(toolbox.distribution)
    return None


def _parse(word: str, index: Index, installed: frozenset[str]) -> Requirement:
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        requirement = Requirement(word)
    except InvalidRequirement as err:
        raise UsageError(
            f"`{word}` is not a name of something to install",
            causes=[str(err).splitlines()[0]],
            hints=["for example: `mimctl install det`"],
        ) from err
    if requirement.url is not None:
        raise UsageError(
            f"`{word}` names an address",
            causes=["mimctl installs by name, from its indexes"],
            hints=[f"hand it to pip: `python -m pip install '{word}'`"],
        )
    name = normalise(requirement.name)
    toolbox = distribution_of(name, index.toolboxes)
    is_alias = toolbox is not None and name not in {normalise(each.name) for each in index.toolboxes.values()}
    if toolbox is not None and not (is_alias and requirement.specifier):
        name = toolbox
    elif not is_alias and not (is_own(name) and (name in index.projects or name in installed)):
        raise unknown_plugin(word, index)
    requirement.name = name
    return requirement


def unknown_plugin(word: str, index: Index) -> MimctlError:
    """Return the error for a name that is neither a toolbox nor a distribution of an index."""
    names = set(index.toolboxes) | {alias for each in index.toolboxes.values() for alias in each.aliases}
    near = nearest(normalise(word), names | {name for name in index.projects if is_own(name)})
    hints = [f"did you mean `{near[0]}`?"] if near else []
    if index.toolboxes:
        hints.append(f"the plugins of the index are {', '.join(f'`{name}`' for name in sorted(index.toolboxes))}")
    return MimctlError(
        f"unknown plugin `{word}`",
        code="unknown-plugin",
        causes=["no named index lists it; mimctl never looks for plugins anywhere else"],
        hints=hints,
    )

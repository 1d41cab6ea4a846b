"""What a name stands for: a toolbox, something of ours, something that mimctl has another form of, or any package."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mimctl.errors import MimctlError, distance, nearest
from mimctl.index.filenames import is_own, normalise
from mimctl.index.model import Index, Toolbox
from mimctl.installer.asking.instead import OPENMMLAB, note_of, refusal_of
from mimctl.installer.asking.requirements_file import Line
from mimctl.installer.asking.words import Named
from mimctl.plugin.openmmlab import OPENMMLAB_NAMES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from packaging.requirements import Requirement

_EXTRAS_OF_MIM = frozenset({"mim", "mminstall"})
"""What OpenMMLab's packages call their operator library; ours comes by itself."""


@dataclass(slots=True, kw_only=True)
class Names:
    """Knows toolboxes, what is installed, and (asked last) what indexes serve."""

    index: Index
    installed: frozenset[str]
    is_served: Callable[[str], bool]
    notes: list[str] = field(default_factory=list)

    def requirement(self, named: Named, line: Line) -> Requirement:
        """Return the requirement on a distribution that a word or a line of a file stands for.

        On the command line, an alias of a toolbox is the toolbox unless a version is asked for; in a file, which
        others wrote for pip, only a toolbox's own name is. Raises MimctlError[unknown-plugin | served-by-ours].
        """
        requirement, name = named.requirement, normalise(named.requirement.name)
        toolbox = find_toolbox(name, self.index.toolboxes)
        is_alias = toolbox is not None and name != normalise(toolbox.name)
        stands_for_itself = is_alias and (bool(requirement.specifier) or line.origin is not None)
        if toolbox is not None and not stands_for_itself:
            return _of_toolbox(requirement, toolbox, is_alias=is_alias)
        if is_own(name) and not (name in self.index.projects or name in self.installed or self.index.plain):
            raise self._unknown(line)
        if not is_own(name):
            self._check_foreign(requirement, name, line)
        return _renamed(requirement, name)

    def _check_foreign(self, requirement: Requirement, name: str, line: Line) -> None:
        if line.origin is not None or name in self.installed:
            return
        pins = any(spec.operator in ("==", "===") for spec in requirement.specifier)
        refusal = None if pins else refusal_of(name, line.text)
        if refusal is not None:
            raise refusal
        note = note_of(name)
        if note is not None:
            self.notes.append(note)
        if requirement.specifier or name in OPENMMLAB - set(OPENMMLAB_NAMES):
            return
        if name in OPENMMLAB_NAMES.values():  # somebody has the name on a public index, and is not meant
            raise self._unknown(line)
        if name in OPENMMLAB_NAMES:
            raise self._no_toolbox(name, line)
        near = self._near(name)
        if near or not self.is_served(name):
            raise self._unknown(line, near=near)

    def _near(self, name: str) -> str | None:
        """Return the name of ours that `name` is most likely a slip of the finger for."""
        ours = self._known_names()
        close = [each for each in ours if distance(name, each) <= (1 if len(each) <= 5 else 2)]
        return min(close, key=lambda each: (distance(name, each), each), default=None)

    def _known_names(self) -> set[str]:
        toolboxes = self.index.toolboxes.values()
        aliases = {normalise(alias) for each in toolboxes for alias in each.aliases}
        return {normalise(each.name) for each in toolboxes} | aliases | {p for p in self.index.projects if is_own(p)}

    def _no_toolbox(self, name: str, line: Line) -> MimctlError:
        return MimctlError(
            f"no index has the toolbox `{OPENMMLAB_NAMES[name]}`, which `{line.text}` stands for",
            code="unknown-plugin",
            causes=self._toolbox_causes(),
            hints=[f"for OpenMMLab's own distribution ask for a version: `mimctl install '{name}>=0'`"],
        )

    def _unknown(self, line: Line, near: str | None = None) -> MimctlError:
        name = normalise(line.text)
        if near is None:
            found = nearest(name, self._known_names())
            near = found[0] if found else None
        is_slip = near is not None and distance(name, near) <= 2
        if is_own(name):
            causes = ["no named index lists it; names of ours are looked for nowhere else"]
        elif name in OPENMMLAB_NAMES.values():
            causes = [*self._toolbox_causes(), "names of toolboxes are looked for nowhere else"]
        elif is_slip:
            causes = [f"it is nearly `{near}`, and such names are not looked for: anybody could have taken them"]
        else:
            causes = ["it is no toolbox, and no package index has a project of that name"]
        hints = [f"did you mean `{near}`?"] if near else []
        if is_slip and not is_own(name):
            hints.append(f"for a package that is called so, ask for a version: `mimctl install '{name}>=0'`")
        elif not self.index.addresses:
            hints.append("name an index: `mimctl settings set index ADDRESS`, or `--index ADDRESS`")
        elif self.index.toolboxes:
            hints.append(f"the plugins of the index are {_listed(self.index.toolboxes)}")
        return MimctlError(
            f"unknown plugin `{line.text}`", code="unknown-plugin", causes=causes, hints=hints, origin=line.origin
        )

    def _toolbox_causes(self) -> list[str]:
        if not self.index.addresses:
            return ["no index of mimctl is named, so no toolbox is known"]
        return [f"the index has {_listed(self.index.toolboxes)}"] if self.index.toolboxes else ["it has no toolbox"]


def find_toolbox(name: str, toolboxes: Mapping[str, Toolbox]) -> Toolbox | None:
    """Return the toolbox that a normalised name or alias stands for."""
    for toolbox in toolboxes.values():
        if name in (normalise(toolbox.name), *(normalise(alias) for alias in toolbox.aliases)):
            return toolbox
    return None


def _of_toolbox(requirement: Requirement, toolbox: Toolbox, *, is_alias: bool) -> Requirement:
    renamed = _renamed(requirement, normalise(toolbox.distribution))
    if is_alias:
        renamed.extras = {extra for extra in renamed.extras if normalise(extra) not in _EXTRAS_OF_MIM}
    return renamed


def _renamed(requirement: Requirement, name: str) -> Requirement:
    from packaging.requirements import Requirement

    found = Requirement(str(requirement))
    found.name = name
    return found


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in sorted(names))

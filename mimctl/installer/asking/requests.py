"""What a person asks for: words, `-e` folders and lines of files become requirements and provided distributions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from mimctl.errors import MimctlError, UsageError
from mimctl.index.filenames import is_own, normalise
from mimctl.index.model import Index
from mimctl.installer.asking.requirements_file import FileContents, Line, located, read_requirements
from mimctl.installer.asking.toolbox_names import Names
from mimctl.installer.asking.words import Named, Placed, parse_word
from mimctl.resolution.model import Provided, Wanted

if TYPE_CHECKING:
    from packaging.requirements import Requirement
    from packaging.specifiers import SpecifierSet

    from mimctl.installer.asking.provide import Provider
    from mimctl.resolution.model import Resolution
    from mimctl.transfer import TransferSettings

    FindSource = Callable[[str, SpecifierSet], Placed]
    """Returns the place of a project's source distribution of a version that is allowed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Requests:
    """All that is asked for, ready to be resolved."""

    wanted: tuple[Wanted, ...]
    provided: Mapping[str, Provided] = field(default_factory=dict)
    """By name: what was named by its place."""
    constraints: tuple[Wanted, ...] = ()
    """Requirements on what is needed anyway."""
    hashes: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """By name: the sha256 of which its file must have one."""
    requires_hashes: bool = False
    """Whether everything needs one (`--require-hashes`)."""
    notes: tuple[str, ...] = ()
    typed: str = ""
    """The words as they were typed, for hints; without secrets."""


def gather(
    words: Sequence[str] = (),
    *,
    files: Sequence[str] = (),
    editables: Sequence[str] = (),
    constraints: Sequence[str] = (),
    environ: Mapping[str, str],
    transfer: TransferSettings,
) -> FileContents:
    """Return what the command line and the files that it names ask for, and the indexes that these files name.

    Reads files only (those of addresses too). Raises UsageError[requirements-file] with file and line.
    """
    typed = tuple(Line(text=word) for word in words)
    contents = FileContents(lines=(*typed, *(Line(text=folder, is_editable=True) for folder in editables)))
    read = _reader(transfer)
    for names, is_constraint in ((files, False), (constraints, True)):
        for name in names:
            contents += read_requirements(name, environ=environ, read=read, is_constraint=is_constraint)
    return contents


def read_requests(
    contents: FileContents,
    *,
    index: Index,
    installed: Iterable[str],
    is_served: Callable[[str], bool],
    provider: Provider,
    find_source: FindSource | None = None,
) -> Requests:
    """Return what is asked for as requirements, with toolboxes and aliases as their distributions.

    `is_served` tells whether an index has a project; it is asked only for a plain name that is neither installed nor
    one of ours. Places are fetched and built by `provider`, and so is the source distribution that `find_source` names
    for what was asked to be built (with None, nothing may be). Raises MimctlError[unknown-plugin | served-by-ours |
    conflicting-requirements], UsageError for what is no request at all, and as the provider does.
    """
    names = Names(index=index, installed=frozenset(installed), is_served=is_served)
    made = _Requests(names=names, provider=provider)
    for line in contents.lines:
        made.add(located(line))
    for line in contents.constraints:
        made.constrain(line)
    for name in sorted(contents.builds):
        made.build(name, find_source)
    _check_together(made.wanted, made.provided)
    return Requests(
        wanted=tuple(dict.fromkeys(made.wanted)),
        provided=made.provided,
        constraints=tuple(made.constraints),
        hashes=made.hashes,
        requires_hashes=contents.requires_hashes,
        notes=tuple(dict.fromkeys(names.notes)),
        typed=_typed(contents.lines),
    )


def check_hashed(requests: Requests, resolution: Resolution) -> None:
    """Raise UsageError[requirements-file] where every file must have a hash that was named, and one has none."""
    if not requests.requires_hashes:
        return
    bare = sorted(
        name
        for name, pick in resolution.picks.items()
        if not pick.is_kept and name not in requests.hashes and not (pick.provided and pick.provided.sha256)
    )
    if bare:
        raise UsageError(
            f"no hash is named for {', '.join(f'`{name}`' for name in bare)}",
            code="requirements-file",
            causes=["`--require-hashes` asks for the hash of everything that is installed"],
            hints=["name each with `--hash=sha256:…` in the requirements file", "or lock: `mimctl lock`"],
        )


def names_in(files: Sequence[str]) -> tuple[str, ...]:
    """Return the names of the distributions that requirements files list; places in them have none, and are passed
    over.

    Raises UsageError[requirements-file] with file and line.
    """
    import os

    from mimctl.transfer import TransferSettings

    contents = gather(files=files, environ=os.environ, transfer=TransferSettings())
    parsed = [parse_word(line.text, line.origin) for line in map(located, contents.lines)]
    names = [each.requirement.name if isinstance(each, Named) else each.name for each in parsed]
    return tuple(dict.fromkeys(normalise(name) for name in names if name is not None))


@dataclass(slots=True, kw_only=True)
class _Requests:
    names: Names
    provider: Provider
    wanted: list[Wanted] = field(default_factory=list)
    provided: dict[str, Provided] = field(default_factory=dict)
    constraints: list[Wanted] = field(default_factory=list)
    hashes: dict[str, frozenset[str]] = field(default_factory=dict)

    def add(self, line: Line) -> None:
        parsed = parse_word(line.text, line.origin)
        if isinstance(parsed, Placed):
            self._provide(parsed, line)
            return
        if line.is_editable:
            raise UsageError(
                f"`-e {line.text}` names no folder",
                causes=["a bare word is a name"],
                hints=[f"write `-e ./{line.text}`"],
                origin=line.origin,
            )
        requirement = self.names.requirement(parsed, line)
        self._note_hashes(requirement, line)
        self.wanted.append(Wanted(requirement=requirement, by=str(line.origin or "")))

    def constrain(self, line: Line) -> None:
        parsed = parse_word(line.text, line.origin)
        if isinstance(parsed, Placed) or parsed.requirement.extras:
            raise UsageError(
                f"`{line.text}` is no constraint",
                code="requirements-file",
                causes=["a constraint is a name and a specifier: it limits what is needed anyway"],
                origin=line.origin,
            )
        self._note_hashes(parsed.requirement, line)
        self.constraints.append(Wanted(requirement=parsed.requirement, by=str(line.origin or "")))

    def build(self, name: str, find_source: FindSource | None) -> None:
        """Have the source distribution of a name built, of a version that all of this command allows."""
        from packaging.specifiers import SpecifierSet

        project = normalise(name)
        if find_source is None or is_own(project):
            raise UsageError(
                f"`{name}` cannot be built here",
                causes=["the operators are built by `mimctl wheels build`" if is_own(project) else "only wheels count"],
            )
        asked = [*self.wanted, *self.constraints]
        specifiers = [each.requirement.specifier for each in asked if normalise(each.requirement.name) == project]
        place = find_source(project, SpecifierSet(",".join(map(str, specifiers))))
        self._provide(place, Line(text=project, sha256=self.hashes.pop(project, frozenset())))

    def _provide(self, place: Placed, line: Line) -> None:
        from packaging.requirements import Requirement

        if line.sha256 and place.sha256 is None and len(line.sha256) == 1:
            place = replace(place, sha256=next(iter(line.sha256)))
        found = self.provider.provide(place, is_editable=line.is_editable)
        name = found.metadata.name
        other = self.provided.get(name)
        if other is not None and other != found:
            raise _conflict(name, [f"`{other.origin}` is one", f"`{found.origin}` is another"])
        self.provided[name] = found
        extras = f"[{','.join(sorted(place.extras))}]" if place.extras else ""
        self.wanted.append(Wanted(requirement=Requirement(f"{name}{extras}"), by=str(line.origin or "")))

    def _note_hashes(self, requirement: Requirement, line: Line) -> None:
        if line.sha256:
            name = normalise(requirement.name)
            known = self.hashes.get(name)
            self.hashes[name] = known & line.sha256 if known is not None else line.sha256


def _check_together(wanted: Sequence[Wanted], provided: Mapping[str, Provided]) -> None:
    """Raise where what was asked for in one command cannot be true at once, as far as that shows without an index."""
    from packaging.version import InvalidVersion, Version

    groups: dict[str, list[Wanted]] = {}
    for each in wanted:
        groups.setdefault(normalise(each.requirement.name), []).append(each)
    for name, group in groups.items():
        versions = {spec.version for each in group for spec in each.requirement.specifier if spec.operator == "=="}
        versions = {version for version in versions if not version.endswith(".*")}
        if name in provided:
            versions.add(provided[name].metadata.version)
        for text in versions:
            try:
                version = Version(text)
            except InvalidVersion:
                continue
            against = [each for each in group if not each.requirement.specifier.contains(version, prereleases=True)]
            if against:
                said = [
                    f"{each.by or 'you'} asked for `{each.requirement}`" for each in group if each.requirement.specifier
                ]
                if name in provided:
                    said.append(f"`{provided[name].origin}` is version {provided[name].metadata.version}")
                raise _conflict(name, said)


def _conflict(name: str, causes: Sequence[str]) -> MimctlError:
    return MimctlError(
        f"no version of `{name}` is all that was asked for",
        code="conflicting-requirements",
        causes=list(dict.fromkeys(causes)),
        hints=["name it once"],
    )


def _typed(lines: Iterable[Line]) -> str:
    from mimctl.transfer import redact

    return " ".join(
        f"-e {line.text}" if line.is_editable else redact(line.text) for line in lines if line.origin is None
    )


def _reader(transfer: TransferSettings) -> Callable[[str], str]:
    def read(name: str) -> str:
        if "://" not in name:
            return Path(name).read_text(encoding="utf-8-sig")
        from mimctl.transfer import get_bytes

        return get_bytes(name, settings=transfer).body.decode("utf-8-sig")

    return read

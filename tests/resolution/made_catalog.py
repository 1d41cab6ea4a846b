"""Catalogs and installed distributions in memory, from short texts, for tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from packaging.requirements import Requirement

from mimctl.index.model import Build, IndexFile
from mimctl.resolution.model import Metadata, Present, Project, Wanted

ADDRESS = "https://index.example"


def make_wheel(
    text: str, *requires: str, build: Build | None = None, tag: str = "py3-none-any", sha: str = "a", **more: object
) -> IndexFile:
    """Return a wheel of `name version`."""
    name, version = text.split()
    kind = f"-{build.backend}" if build else ""
    filename = f"{name.replace('-', '_')}-{version}-{tag}{kind}.whl"
    return replace(
        IndexFile(
            project=name,
            filename=filename,
            url=f"{ADDRESS}/files/{filename}",
            sha256=sha * 64,
            size=10,
            version=version,
            tags=(tag,),
            requires_dist=requires,
            build=build,
            address=ADDRESS,
        ),
        **more,
    )


@dataclass
class MadeCatalog:
    """What indexes hold; notes who was asked for."""

    files: Sequence[IndexFile] = ()
    sdists: Mapping[str, Sequence[str]] = field(default_factory=dict)
    requires_python: Mapping[str, str] = field(default_factory=dict)
    """File name → what its METADATA says and its page does not."""
    asked: list[str] = field(default_factory=list)
    read: list[str] = field(default_factory=list)

    def prefetch(self, names: Iterable[str]) -> None:
        """Take note of nothing."""

    def prefetch_metadata(self, files: Iterable[IndexFile]) -> Iterable[IndexFile]:
        """Say of all that it is known."""
        return files

    def project(self, name: str) -> Project:
        """Return the files of a project."""
        self.asked.append(name)
        return Project(
            name=name,
            files=tuple(each for each in self.files if each.project == name),
            sdists=tuple(self.sdists.get(name, ())),
            looked_in=(ADDRESS,),
        )

    def metadata(self, file: IndexFile) -> Metadata:
        """Return what a wheel says of itself."""
        self.read.append(file.filename)
        return Metadata(
            name=file.project,
            version=file.version,
            requires_dist=file.requires_dist,
            requires_python=self.requires_python.get(file.filename, file.requires_python),
        )


class MadeInstalled:
    """What is installed; notes whose requirements were read."""

    def __init__(self, present: Iterable[Present] = (), requires: Mapping[str, Sequence[str]] | None = None) -> None:
        self._present = {each.name: each for each in present}
        self._requires = requires or {}
        self.read: list[str] = []

    def names(self) -> Iterable[str]:
        """Return all names."""
        return self._present

    def get(self, name: str) -> Present | None:
        """Return one."""
        return self._present.get(name)

    def requires_dist(self, name: str) -> tuple[str, ...]:
        """Return what one requires."""
        self.read.append(name)
        return tuple(self._requires.get(name, ()))


def make_installed(**pins: str | tuple[str, ...]) -> MadeInstalled:
    """Return what is installed from `name=version` or `name=(version, requirement, …)`; `_` in names is `-`."""
    values = {name.replace("_", "-"): (given,) if isinstance(given, str) else given for name, given in pins.items()}
    return MadeInstalled(
        [Present(name=name, version=given[0]) for name, given in values.items()],
        {name: given[1:] for name, given in values.items()},
    )


def wants(*texts: str) -> list[Wanted]:
    """Return what a person asks for."""
    return [Wanted(requirement=Requirement(text)) for text in texts]

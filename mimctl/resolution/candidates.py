"""What may serve a name in one environment: what is installed, what was provided, the wheels that a catalog knows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from mimctl.environment.installed import Fact, Torch
from mimctl.environment.model import Environment
from mimctl.index.model import IndexFile
from mimctl.resolution.model import Catalog, Installed, Present, Project, Provided, ResolveOptions
from mimctl.resolution.named_hashes import with_named_hash
from mimctl.resolution.names import CV2_NAMES, PREFIX, TORCH_FAMILY, is_own
from mimctl.resolution.requirements import is_same_version, parse_version, satisfies
from mimctl.resolution.torch import torch_project
from mimctl.resolution.unchanged import is_another_build, is_installed_from, is_sibling, other_hash
from mimctl.selection.choose import Accepted, Selection, choose, has_compiled_here
from mimctl.selection.order import public_version
from mimctl.selection.torch_build import TorchBuild, is_plain

if TYPE_CHECKING:
    from packaging.specifiers import SpecifierSet
    from packaging.version import Version

PYTHON = "<python>"
"""Stands for the interpreter itself, which Requires-Python is a requirement on."""
NEVER = "<never>"
"""Stands for what cannot be had at all."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Candidate:
    """One version of a distribution, or of what one of its extras adds: a file, something provided, or (neither) what
    is installed. `is_absent`: the name needs no distribution, as somebody else brings it."""

    name: str
    version: str
    extra: str = ""
    file: IndexFile | None = None
    provided: Provided | None = None
    is_absent: bool = False

    @property
    def identifier(self) -> str:
        """Return what the resolver calls it."""
        return f"{self.name}[{self.extra}]" if self.extra else self.name

    @property
    def key(self) -> tuple[str, str, str]:
        """Return what it is, whatever the extra."""
        place = self.file.filename if self.file else "provided" if self.provided else "there"
        return (self.name, self.version, place)

    @property
    def is_kept(self) -> bool:
        """Return whether what is installed stays."""
        return self.file is None and self.provided is None and not self.is_absent


@dataclass(frozen=True, slots=True, kw_only=True)
class _Release:
    """The files of one public version."""

    version: Version
    files: tuple[IndexFile, ...]


class Candidates:
    """Answers for one environment; a project's page is read, and its wheels judged, when its name comes up."""

    def __init__(
        self,
        *,
        env: Environment,
        catalog: Catalog,
        installed: Installed,
        provided: Mapping[str, Provided],
        options: ResolveOptions,
    ) -> None:
        self.env = env if env.torch.value else _with_torch(env, options.torch)
        self.catalog = catalog
        self.installed = installed
        self.provided = provided
        self.options = options
        self._has_torch = env.torch.value is not None
        self._releases: dict[str, tuple[_Release, ...]] = {}
        self._compiled: dict[str, bool] = {}
        self._selections: dict[tuple[str, ...], Selection] = {}

    def find(self, name: str, specifier: SpecifierSet, *, is_frozen: bool = False) -> Iterator[Candidate]:
        """Yield what serves `name`, the best first; with `is_frozen` nothing but what is there where that serves.

        Raises MimctlError[hash-changed | torch-present | torch-unavailable], and what the catalog raises.
        """
        if name == PYTHON:
            yield from self._if_satisfying(Candidate(name=name, version=self.env.python.value), specifier)
        elif self.fixed(name) is not None or name in self.provided:
            yield from self._if_satisfying(self.fixed(name) or self._provided(name), specifier)
        elif name == "torch":
            yield from self._torch(specifier)
        elif name != NEVER:
            yield from self._any(name, specifier, is_frozen=is_frozen and not is_own(name))

    def fixed(self, name: str) -> Candidate | None:
        """Return what is installed of torch's family: nothing else is ever a candidate of its name."""
        if name == "torch" and self._has_torch:
            assert self.env.torch.value is not None
            return Candidate(name=name, version=self.env.torch.value.version)
        there = self.installed.get(name) if name in TORCH_FAMILY and name != "torch" else None
        return Candidate(name=name, version=there.version) if there else None

    def version_there(self, name: str) -> str | None:
        """Return the version that is installed."""
        fixed = self.fixed(name)
        if fixed is not None:
            return fixed.version
        there = self.installed.get(name)
        return there.version if there else None

    @cached_property
    def has_cv2(self) -> bool:
        """Return whether anything brings the package `cv2`."""
        return self.env.cv2.value is not None or any(self.installed.get(name) for name in CV2_NAMES)

    def is_upgraded(self, name: str) -> bool:
        """Return whether the newest version is wanted though another is there."""
        return self.options.upgrade_all or name in self.options.upgrade

    def trace(self, name: str, specifier: SpecifierSet, picked: IndexFile | None) -> Selection:
        """Return the decision on every file of a project that satisfies `specifier`, `picked` being the chosen one.

        Where nothing was picked, that is the file which what stays was installed from, if it is known. Of projects
        that are not ours, only the version that was picked is looked at: there may be thousands of files.
        """
        there = self.installed.get(name)
        if picked is None and there is not None:
            picked = next((file for file in self._files(name) if is_installed_from(there, file)), None)
        decisions = []
        for release in self._project(name):
            if not is_own(name) and picked is not None and picked not in release.files:
                continue
            for each in self._judge(name, release, specifier).decisions:
                is_chosen = each.file == picked
                decisions.append(replace(each, is_chosen=is_chosen) if isinstance(each, Accepted) else each)
        return Selection(chosen=picked, decisions=tuple(decisions))

    def versions(self, name: str) -> list[str]:
        """Return the public versions that there are wheels of, the newest first."""
        return [str(release.version) for release in self._project(name)]

    def _any(self, name: str, specifier: SpecifierSet, *, is_frozen: bool) -> Iterator[Candidate]:
        there = self.installed.get(name)
        fits = there is not None and satisfies(there.version, specifier)
        if there is None or not fits:
            if there is None or not is_frozen:
                yield from self._releases_of(name, specifier)
            return
        if name in self.options.reinstall:
            yield from self._releases_of(name, specifier, only=there.version)
            yield from self._releases_of(name, specifier, without=there.version)
        elif self.is_upgraded(name):
            yield from self._newest_or_there(there, specifier)
        else:
            yield from self._as_it_is(there)
            if not is_frozen:
                yield from self._releases_of(name, specifier, without=there.version, is_last=True)

    def _as_it_is(self, there: Present) -> Iterator[Candidate]:
        """Yield what is installed; of our op packages the build that fits in its stead, if it does not."""
        kept = Candidate(name=there.name, version=there.version)
        if not is_own(there.name) or there.is_from_source or there.name == PREFIX:
            yield kept
            return
        files = [file for file in self._files(there.name) if file.version == there.version or is_sibling(there, file)]
        chosen = choose(self.env, files, self.options.variant, verified=self.options.verified).chosen if files else None
        if not files or (chosen is not None and is_installed_from(there, chosen)):
            yield kept
        elif chosen is not None and is_another_build(there, chosen):
            yield _of(chosen)
        elif chosen is not None:
            raise other_hash(there, chosen)

    def _newest_or_there(self, there: Present, specifier: SpecifierSet) -> Iterator[Candidate]:
        """Yield newer versions, what is there in its place among them, then older ones."""
        is_told = False
        own = parse_version(public_version(there.version))
        for each in self._releases_of(there.name, specifier, without=there.version):
            version = parse_version(public_version(each.version))
            if not is_told and (own is None or version is None or version < own):
                yield from self._as_it_is(there)
                is_told = True
            yield each
        if not is_told:
            yield from self._as_it_is(there)

    def _releases_of(
        self, name: str, specifier: SpecifierSet, *, only: str = "", without: str = "", is_last: bool = False
    ) -> Iterator[Candidate]:
        """Yield the fitting file of each version, the newest first.

        Pre-releases count where they were asked for, by the specifier too, or where there is nothing else: with
        `is_last` there is.
        """
        is_any_good = bool(self.options.pre or specifier.prereleases)
        has_found = is_last
        for wants_pre in (False, True):
            if wants_pre and (is_any_good or has_found):
                return
            for release in self._project(name):
                if not is_any_good and release.version.is_prerelease != wants_pre:
                    continue
                version = str(release.version)
                if (only and not is_same_version(version, public_version(only))) or (
                    without and is_same_version(version, public_version(without))
                ):
                    continue
                chosen = self._judge(name, release, specifier).chosen
                if chosen is not None:
                    yield _of(chosen)
                has_found = has_found or chosen is not None or self._is_only_withdrawn(release, specifier)

    def _is_only_withdrawn(self, release: _Release, specifier: SpecifierSet) -> bool:
        """Return whether a version would serve had it not been withdrawn: a pre-release takes no such one's place."""
        files = [file for file in release.files if satisfies(file.version, specifier)]
        if not any(file.yanked for file in files):
            return False
        return choose(self.env, files, self.options.variant, takes_yanked=True).chosen is not None

    def _judge(self, name: str, release: _Release, specifier: SpecifierSet) -> Selection:
        """Choose among the files of one version; a withdrawn one of others' counts where it is named (PEP 592)."""
        fitting = (file for file in release.files if satisfies(file.version, specifier))
        files = with_named_hash(fitting, self.options.hashes.get(name))
        takes_yanked = not is_own(name) and _pins(specifier)
        key = (name, "yanked" if takes_yanked else "", *(file.filename for file in files))
        if key not in self._selections:
            self._selections[key] = choose(
                self.env,
                files,
                self.options.variant,
                verified=self.options.verified,
                takes_yanked=takes_yanked,
                has_compiled=self._has_compiled(name),
            )
        return self._selections[key]

    def _has_compiled(self, name: str) -> bool:
        """Return whether any version of a project has a compiled build for this platform."""
        if name not in self._compiled:
            self._compiled[name] = has_compiled_here(self.env, self._files(name))
        return self._compiled[name]

    def _project(self, name: str) -> tuple[_Release, ...]:
        if name not in self._releases:
            by_version: dict[Version, list[IndexFile]] = {}
            for file in self._files(name):
                version = parse_version(public_version(file.version))
                if version is not None:
                    by_version.setdefault(version, []).append(file)
            self._releases[name] = tuple(
                _Release(version=version, files=tuple(by_version[version]))
                for version in sorted(by_version, reverse=True)
            )
        return self._releases[name]

    def project(self, name: str) -> Project:
        """Return all that the catalog has of a project."""
        if name == "torch" and not self._has_torch and self.options.torch is not None:
            return torch_project(self.catalog, self.options.torch)
        return self.catalog.project(name)

    def _files(self, name: str) -> tuple[IndexFile, ...]:
        return self.project(name).files

    def _torch(self, specifier: SpecifierSet) -> Iterator[Candidate]:
        """Yield the one build that was chosen; it may stand on the shelf without its label."""
        build = self.options.torch
        if self.options.leaves_torch_out:
            yield Candidate(name="torch", version=build.full_version if build else "", is_absent=True)
            return
        if build is None:
            return
        if not satisfies(build.version, specifier) and not satisfies(build.full_version, specifier):
            return
        files = self._files("torch")
        chosen = choose(self.env, [file for file in files if is_same_version(file.version, build.full_version)]).chosen
        if chosen is None and is_plain(build.version, build.tag, self.env):
            chosen = choose(self.env, [file for file in files if is_same_version(file.version, build.version)]).chosen
        if chosen is not None:
            yield _of(chosen)

    def _provided(self, name: str) -> Candidate:
        given = self.provided[name]
        return Candidate(name=name, version=given.metadata.version, provided=given)

    def _if_satisfying(self, candidate: Candidate, specifier: SpecifierSet) -> Iterator[Candidate]:
        if satisfies(candidate.version, specifier):
            yield candidate


def _of(file: IndexFile) -> Candidate:
    return Candidate(name=file.project, version=file.version, file=file)


def _pins(specifier: SpecifierSet) -> bool:
    """Return whether a specifier names one version."""
    return any(each.operator in ("==", "===") and not each.version.endswith(".*") for each in specifier)


def _with_torch(env: Environment, build: TorchBuild | None) -> Environment:
    if build is None:
        return env
    torch = Torch(version=build.full_version, cuda=build.cuda, hip=build.hip, path=None)
    return replace(env, torch=Fact(value=torch, source="to be installed"))

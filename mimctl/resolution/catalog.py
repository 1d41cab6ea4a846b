"""The catalog that reads indexes: ours, those of pip's and uv's configuration, torch's own, one place for each name."""

from __future__ import annotations

from collections.abc import Container, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Literal

from mimctl.environment.model import Environment
from mimctl.errors import MimctlError
from mimctl.index.client import IndexClient
from mimctl.index.collector import Page
from mimctl.index.filenames import is_own
from mimctl.index.lines import Lines
from mimctl.index.model import Build, IndexFile, SourceFile
from mimctl.index.reader import PageReader
from mimctl.index.sources import PackageSources
from mimctl.resolution.model import Metadata, Project
from mimctl.resolution.parallel import in_parallel
from mimctl.resolution.requirements import parse_version
from mimctl.resolution.store import WheelStore
from mimctl.selection.choose import public_version
from mimctl.selection.tags import supported_tags
from mimctl.selection.torch_build import TorchBuild, is_plain
from mimctl.transfer import Progress, TransferSettings, redact

Strategy = Literal["first", "best"]


class IndexCatalog:
    """Reads what the indexes hold, for one command; it knows no interpreter, and nothing that is installed.

    Names of ours (`mimctl`, `mimctl-…`) come from mimctl's indexes (`client`) alone, and so does any project that one
    of these carries, from the first that does. Everything else comes from the first place of `sources` that has the
    project, extra indexes before the index, with what find-links hold of it; with the strategy `best` from all of them
    together. A place that does not answer is an error: its names are not asked for elsewhere.

    `torch` is the build of torch that there is or that joins, with the target `env`: torch's own index serves what
    goes with it where the places above do not have that build.
    """

    def __init__(
        self,
        *,
        client: IndexClient,
        sources: PackageSources,
        transfer: TransferSettings,
        cache_dir: Path,
        torch_index: str = "",
        torch: TorchBuild | None = None,
        env: Environment | None = None,
        strategy: Strategy = "first",
    ) -> None:
        self._client = client
        self._sources = sources
        lines = Lines(transfer)
        self._reader = PageReader(transfer, cache_dir, hidden_as_missing=torch_index, lines=lines)
        self._store = WheelStore(transfer, cache_dir, lines=lines)
        self._strategy = strategy
        self._torch = torch
        self._env = env
        self._torch_root = f"{torch_index.rstrip('/')}/{torch.tag}" if torch_index and torch and torch.tag else None
        self._projects: dict[str, Project] = {}

    def prefetch(self, names: Iterable[str]) -> None:
        """Read the pages of several projects at once; a fault of one is raised when that one is asked for."""
        in_parallel(self._read_quietly, [name for name in dict.fromkeys(names) if name not in self._projects])

    def prefetch_metadata(self, files: Iterable[IndexFile]) -> list[IndexFile]:
        """Read the metadata of several wheels at once where that takes no whole wheel; return those that are read."""
        return self._store.prefetch(files)

    def project(self, name: str) -> Project:
        """Return what there is of a project (normalised), with no files where no place has it.

        Raises NetworkError[network | offline], MimctlError[bad-index | index-version | not-an-index | http-status].
        """
        if name not in self._projects:
            self._projects[name] = self._read(name)
        return self._projects[name]

    def metadata(self, file: IndexFile) -> Metadata:
        """Return the core metadata of a wheel; the whole wheel is fetched only where there is no other way.

        Raises IntegrityError[bad-wheel] where it contradicts the file's name, [hash-mismatch] where it is not the one
        that the index promises, and what `project` does.
        """
        return self._store.metadata(file)

    def fetch(self, file: IndexFile, *, progress: Progress | None = None) -> Path:
        """Return a verified copy of `file` in the cache (errors as `transfer.download`)."""
        return self._store.fetch(file, progress=progress)

    def refresh(self) -> bool:
        """Forget answers from pages that were too young to be asked for anew; return whether there was any.

        What was published a minute ago is not in them: whoever finds nothing may ask once more.
        """
        if not self._reader.forget():
            return False
        self._projects.clear()
        return True

    def _read_quietly(self, name: str) -> None:
        try:
            self.project(name)
        except MimctlError:
            return  # the one who asks for it is told

    def _read(self, name: str) -> Project:
        asked: list[str] = []
        carried = self._carried(name, asked)
        if carried is not None or is_own(name):
            page = carried or Page()
        elif self._torch_root is not None and _is_torchs_alone(name):
            page = self._torch_page(name, asked) or self._configured(name, asked)
        else:
            page = self._configured(name, asked)
            if self._torch_root is not None and self._needs_torch_index(name, page):
                page = self._with_torch_index(name, page, asked)
        return Project(
            name=name,
            files=page.files,
            sdists=page.sdists,
            sources=page.sources,
            looked_in=tuple(dict.fromkeys(map(redact, asked))),
        )

    def _carried(self, name: str, asked: list[str]) -> Page | None:
        """Return what the first of mimctl's indexes that carries the project has of it."""
        for address in self._client.addresses:
            asked.append(address)
            root = self._client.plain_root(address)
            if root is None:
                files = self._client.project(address, name)
                page = None if files is None else Page(files=files)
            else:
                page = self._reader.project(root, name)
                page = self._with_builds(page) if page is not None and is_own(name) else page
            if page is not None:
                return page
        return None

    def _with_builds(self, page: Page) -> Page:
        """Return a page of ours with what its newest compiled wheels say in themselves of how they were built."""
        compiled = [file for file in page.files if not file.tags[0].endswith("-any") and self._may_fit(file)]
        versions = {file.filename: parse_version(public_version(file.version)) for file in compiled}
        newest = sorted({version for version in versions.values() if version is not None})[-_MOST_READ:]
        wanted = [file for file in compiled if versions[file.filename] in newest]
        builds: dict[str, Build] = {}

        def read(file: IndexFile) -> None:
            try:
                is_last_hope = file.build is None and versions[file.filename] == newest[-1]
                found = self._store.build(file, may_fetch=is_last_hope)
            except MimctlError:
                return  # the label remains; whoever installs it is told
            if found is not None:
                builds[file.filename] = found

        in_parallel(read, wanted)
        if not builds:
            return page
        files = tuple(replace(file, build=builds.get(file.filename, file.build)) for file in page.files)
        return replace(page, files=files)

    def _may_fit(self, file: IndexFile) -> bool:
        return self._env is None or not set(supported_tags(self._env)).isdisjoint(file.tags)

    def _configured(self, name: str, asked: list[str]) -> Page:
        """Return what pip's and uv's places have of a project."""
        asked.extend(self._sources.find_links)
        linked = [self._reader.links(link, name) for link in self._sources.find_links]
        pages: list[Page] = []
        for root in self._sources.indexes:
            asked.append(root)
            page = self._reader.project(root, name)
            if page is not None:
                pages.append(page)
                if self._strategy == "first":
                    break
        doubtful = {file.filename for page in pages for file in page.files}
        return _together([*(self._with_python(page, doubtful) for page in linked), *pages])

    def _with_python(self, page: Page, filenames: Container[str]) -> Page:
        """Return a folder's files with the Pythons that they are for, which no folder tells, as far as `filenames` are
        in an index too: that one may be for more.
        """

        def read(file: IndexFile) -> IndexFile:
            if file.filename not in filenames or file.requires_python is not None:
                return file
            try:
                return replace(file, requires_python=self._store.metadata(file).requires_python)
            except MimctlError:
                return file  # whoever chooses it is told

        return replace(page, files=tuple(map(read, page.files)))

    def _needs_torch_index(self, name: str, page: Page) -> bool:
        """Return whether torch's own index is to serve a project: what goes with torch, where nobody has that build."""
        assert self._torch is not None
        if name in _LABELLED:
            return not any(self._is_wanted_build(name, file) for file in page.files)
        return name.startswith(_NEEDED) and not page.files

    def _is_wanted_build(self, name: str, file: IndexFile) -> bool:
        torch, env = self._torch, self._env
        assert torch is not None
        if not self._may_fit(file):
            return False
        version, _, label = file.version.partition("+")
        if name == "torch" and version != torch.version:
            return False
        return label == torch.tag or (not label and env is not None and is_plain(torch.version, torch.tag, env))

    def _with_torch_index(self, name: str, page: Page, asked: list[str]) -> Page:
        found = self._torch_page(name, asked)
        if found is None:
            return page
        # What pip's configuration has of it is another build: it would not work with this torch.
        return found if name in _LABELLED else _together([page, found])

    def _torch_page(self, name: str, asked: list[str]) -> Page | None:
        assert self._torch_root is not None
        asked.append(self._torch_root)
        return self._reader.project(self._torch_root, name)


_MOST_READ = 4
"""Versions of which the wheels themselves are looked into."""
_LABELLED = frozenset({"torch", "torchvision", "torchaudio"})
"""Built for one build of torch each; the label tells which."""
_NEEDED = ("nvidia-", "triton")
"""What torch requires and its index carries as well."""


def _is_torchs_alone(name: str) -> bool:
    """Return whether a name is one that only torch's own index gives out: anybody may claim it elsewhere."""
    return name.startswith(("pytorch-triton", "torchtriton"))


def _together(pages: Iterable[Page]) -> Page:
    """Return several pages as one; of one file's name the first counts, unless another place offers it to more."""
    pages = list(pages)
    files: dict[tuple[str, str | None, bool], IndexFile] = {}
    for page in pages:
        for file in page.files:
            files.setdefault((file.filename, file.requires_python, file.yanked is None), file)
    sources: dict[str, SourceFile] = {}
    for page in pages:
        for source in page.sources:
            sources.setdefault(source.filename, source)
    return Page(files=tuple(files.values()), sources=tuple(sources.values()))

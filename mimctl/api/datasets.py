"""Published data sets: those of mimctl's table, and those that packages of mim's convention name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING

from mimctl import settings as settings_module
from mimctl.api.place import workplace
from mimctl.errors import MimctlError
from mimctl.settings import Settings

if TYPE_CHECKING:
    from mimctl.api.place import Watch
    from mimctl.launch.place import Workplace
    from mimctl.plugin.mim import MimPackage
    from mimctl.zoo.datasets.fetch import FetchedFile


@dataclass(frozen=True, slots=True, kw_only=True)
class DownloadedData:
    """A data set that lies in the folder `root`."""

    name: str
    root: Path
    source: str
    """Whose word addresses and hashes are, or what OpenDataLab calls it."""
    files: tuple[FetchedFile, ...] = ()
    """What became of each published file; nothing is known of those that OpenDataLab's client brings."""
    train: Mapping[str, Path] = field(default_factory=dict)
    """Toolbox → the folder that its `train --data` reads."""
    licence: str | None = None
    home: str | None = None
    raw: Path | None = None
    """Where OpenDataLab's client put what it brought."""

    @property
    def is_new(self) -> bool:
        """Return whether anything was brought now."""
        return self.raw is not None or any(each.state == "new" for each in self.files)


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedData:
    """A data set that can be fetched."""

    name: str
    title: str
    task: str = ""
    size: int | None = None
    """Bytes to fetch where no part is named, where all of its files say so."""
    parts: tuple[str, ...] = ()
    folder: str = ""
    licence: str = ""
    home: str = ""
    toolboxes: tuple[str, ...] = ()
    """Toolboxes, and packages, that read it: by `train --data`, or by a config of theirs."""
    package: str | None = None
    """The package that names it; None for those of mimctl's own table."""


def download_dataset(
    name: str,
    plugin: str | None = None,
    *,
    dest: Path | str | None = None,
    parts: Sequence[str] = (),
    keep_archives: bool = False,
    stdout: IO[bytes] | None = None,
    watch: Watch | None = None,
    settings: Settings | None = None,
) -> DownloadedData:
    """Fetch a published data set, verified and unpacked, to `dest` or to where configs look for it from here.

    It comes out of mimctl's table, or a file of that form (`NAME.toml`); where `plugin` is an installed package of
    mim's convention whose `dataset-index.yml` names it, as mim does it: OpenDataLab's client `odl` brings the files,
    the package's script puts them in order. `parts` (none: all but the optional) and `keep_archives` are for those of
    the table.
    Raises UsageError[unknown-dataset | bad-data-set], MimctlError[plugin-not-installed | no-dataset-client |
    script-failed], and what `mimctl.zoo.datasets.fetch.fetch_data_set` raises.
    """
    from mimctl.zoo.datasets.fetch import fetch_data_set
    from mimctl.zoo.datasets.table import find_data_set, unknown_data_set

    settings = settings or settings_module.load()
    folder = None if dest is None else Path(dest).expanduser()
    place = workplace(settings) if plugin is not None else None
    package = _package(plugin, place) if plugin is not None and place is not None else None
    named = _named_by(package)
    if package is not None and place is not None and name in named:
        return _fetch_as_mim(package, name, place, folder, stdout, watch)
    found = find_data_set(name)
    if found is None:
        raise unknown_data_set(name, named)
    fetched = fetch_data_set(
        found,
        dest=folder,
        parts=parts,
        keeps_archives=keep_archives,
        settings=settings,
        progress=watch.progress if watch else None,
        note=watch.note if watch else None,
    )
    return DownloadedData(
        name=found.name,
        root=fetched.root,
        source=found.source,
        files=fetched.files,
        train=fetched.train,
        licence=found.licence,
        home=found.home,
    )


def list_datasets(plugin: str | None = None, *, settings: Settings | None = None) -> list[ListedData]:
    """Return the data sets that can be fetched, by name; of a `plugin` those that it reads or, a package, names."""
    from mimctl.zoo.datasets.table import load_data_sets

    words: set[str] = set()
    package = None
    if plugin is not None:
        place = workplace(settings or settings_module.load())
        package = _package(plugin, place)
        words = set() if package is not None else {plugin, _toolbox(plugin, place)}
    found = [
        ListedData(
            name=each.name,
            title=each.title,
            task=each.task,
            size=each.size if all(file.size for file in each.files) else None,
            parts=each.parts,
            folder=each.folder,
            licence=each.licence,
            home=each.home,
            toolboxes=tuple(dict.fromkeys((*each.train, *each.configs))),
        )
        for each in load_data_sets()
        if not words or words & {*each.train, *each.configs}
    ]
    named = _named_by(package)
    if package is None:
        return found
    return [
        *(ListedData(name=name, title=source, package=package.name) for name, source in sorted(named.items())),
        *(each for each in found if each.name not in named),
    ]


@contextmanager
def naming_data_sets() -> Iterator[None]:
    """Add to an error about data that is not there the command that fetches it, where the table has it."""
    try:
        yield
    except MimctlError as err:
        missing = err.details.get("missing")
        if err.code != "data-not-found" or not isinstance(missing, list):
            raise
        from mimctl.zoo.datasets.table import data_sets_of

        names = [each.name for each in data_sets_of(missing)]
        err.hints = (*(f"fetch it: `mimctl download --dataset {name}`" for name in names), *err.hints)
        raise


def _package(plugin: str, place: Workplace) -> MimPackage | None:
    """Return the installed package that `plugin` names; None for a toolbox of ours, raise for what is neither."""
    from mimctl.launch.toolbox import find_installed, find_working_plugin, not_installed
    from mimctl.plugin.openmmlab import CATALOGUES

    package = find_installed(plugin, place, is_required="==" in plugin)
    if package is not None:
        return package
    if find_working_plugin(plugin, place) or plugin in CATALOGUES or plugin in CATALOGUES.values():
        return None
    raise not_installed(plugin, place)


def _toolbox(plugin: str, place: Workplace) -> str:
    from mimctl.launch.toolbox import find_working_plugin
    from mimctl.plugin.openmmlab import CATALOGUES

    found = find_working_plugin(plugin, place)
    return found.name if found is not None else CATALOGUES.get(plugin, plugin)


def _named_by(package: MimPackage | None) -> dict[str, str]:
    """Return the data sets that a package names → what OpenDataLab calls each."""
    from mimctl.launch.experiments.dataset_index import list_datasets as listed

    entries = {} if package is None else listed(package)
    return {name: str(facts.get("dataset") or name) for name, facts in entries.items()}


def _fetch_as_mim(
    package: MimPackage,
    name: str,
    place: Workplace,
    dest: Path | None,
    stdout: IO[bytes] | None,
    watch: Watch | None,
) -> DownloadedData:
    from mimctl.launch.experiments.dataset_index import fetch, plan_dataset

    plan = plan_dataset(package, name, python=place.python, dest=dest)
    fetch(plan, stdout=stdout, note=watch.note if watch else None)
    return DownloadedData(name=plan.name, root=plan.data_dir, source=plan.source, raw=plan.raw_dir)

"""Bundles: all that an installation needs in one folder, and installing from one without a network."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from mimctl import settings as settings_module
from mimctl.api.locking import lock, open_places
from mimctl.api.locking import prepare_sync as _prepare_sync
from mimctl.api.place import zoo_models
from mimctl.settings import Settings

if TYPE_CHECKING:
    from mimctl.api.place import Watch
    from mimctl.bundling.data import PublishedData
    from mimctl.bundling.install import Bundle
    from mimctl.bundling.make import BundleReport
    from mimctl.bundling.parts import BundleParts
    from mimctl.installer.locking.lockfile import Asked, Contents
    from mimctl.installer.locking.requests import LockOptions
    from mimctl.installer.model import InstallPlan, InstallResult
    from mimctl.installer.prepare import Places


@dataclass(frozen=True, slots=True, kw_only=True)
class Extras:
    """What a bundle carries besides distributions."""

    configs: tuple[str, ...] = ()
    """Configs whose weights it is to carry: paths, names in a bundled toolbox, models of its zoo."""
    weights: tuple[str, ...] = ()
    """Addresses."""
    datasets: tuple[Path | str, ...] = ()
    """Folders of data; published data sets by their names, or by files that describe them (`NAME.toml`)."""


def bundle(
    out: Path,
    names: Sequence[str] | str = (),
    options: LockOptions | None = None,
    *,
    lock_file: Path | None = None,
    extras: Extras | None = None,
    watch: Watch | None = None,
    settings: Settings | None = None,
) -> BundleReport:
    """Write a folder from which `names` (or what `lock_file` has) install on machines without a network.

    It holds mimctl itself, torch, every wheel for each environment of `options`, weights and data, a lock, an index, a
    manifest with the hash of each file, and `install.sh`, which needs only Python. Raises UsageError[not-a-bundle],
    [unknown-dataset | bad-data-set], MimctlError[bundle-without-mimctl], and what locking and transfers raise.
    """
    from mimctl.bundling.data import choose_data
    from mimctl.bundling.make import make_bundle
    from mimctl.bundling.request import check_out, check_served

    settings = settings or settings_module.load()
    extras = extras or Extras()
    check_out(out.absolute())
    folders, published = choose_data(extras.datasets)
    find_links = options.find_links if options is not None else ()
    places = open_places(settings, None, find_links=find_links)
    index = places.client.load() if places.client.addresses else None
    if lock_file is None:
        check_served([names] if isinstance(names, str) else names, index)
    if lock_file is not None:
        contents, asked = _read_contents(lock_file, places)
    else:
        contents, asked = _resolve_contents([names] if isinstance(names, str) else names, options, watch, settings)
    return make_bundle(
        contents,
        asked,
        out,
        places=places,
        parts=lambda wheels: _parts(extras, folders, published, out.absolute(), wheels, watch, settings),
        index=index,
        progress=watch.progress if watch else None,
        note=watch.note if watch else None,
    )


def open_bundle(folder: Path) -> Bundle:
    """Return the bundle in a folder after a look at every file of it.

    Raises UsageError[not-a-bundle | bad-data-set], IntegrityError[damaged-bundle].
    """
    from mimctl.bundling.install import open_bundle as check

    return check(folder)


def prepare_bundled(
    found: Bundle,
    *,
    environment: str | None = None,
    machine: str | None = None,
    settings: Settings | None = None,
) -> InstallPlan:
    """Return what installing from a bundle would change; needs no network (arguments and errors as `prepare_sync`)."""
    settings = replace(settings or settings_module.load(), offline=True, index=())
    return _prepare_sync(found.lock, environment=environment, machine=machine, frozen=True, settings=settings)


def install_bundled(
    found: Bundle, *, plan: InstallPlan | None = None, watch: Watch | None = None, settings: Settings | None = None
) -> InstallResult:
    """Install from a bundle without a network: its distributions into the target, its weights into the cache, its
    published data sets to where configs look for them from the working folder.

    Where a distribution fails the environment is as before. What failed later goes on when this is called again.
    """
    from mimctl.api.installing import install
    from mimctl.bundling.data import lay_out
    from mimctl.zoo.weights import adopt_weights

    settings = replace(settings or settings_module.load(), offline=True, index=())
    plan = plan or prepare_bundled(found, settings=settings)
    result = install((), plan=plan, watch=watch, settings=settings)
    note = watch.note if watch else None
    for each in found.weights:
        if note is not None:
            note(f"keeping {each.path.name} in the cache")
        adopt_weights(each.url, each.path, each.sha256, settings=settings, note=note)
    for data in found.published:
        lay_out(data, settings=settings, progress=watch.progress if watch else None, note=note)
    return result


def _read_contents(lock_file: Path, places: Places) -> tuple[Contents, Asked]:
    from mimctl.installer.locking.lock import locked_files
    from mimctl.installer.locking.lockfile import Asked
    from mimctl.installer.locking.reading import read_lock
    from mimctl.installer.locking.requests import index_folders

    read = read_lock(lock_file, folders=index_folders(places))
    return {cell: locked_files(read, cell) for cell in read.cells}, read.asked or Asked()


def _resolve_contents(
    names: Sequence[str], options: LockOptions | None, watch: Watch | None, settings: Settings
) -> tuple[Contents, Asked]:
    from mimctl.bundling.request import with_necessities

    with tempfile.TemporaryDirectory(prefix="mimctl-") as folder:
        path = Path(folder) / "pylock.toml"
        found = lock(with_necessities(names), options, path=path, dry_run=True, watch=watch, settings=settings)
    return found.contents, found.asked


def _parts(
    extras: Extras,
    folders: Sequence[Path],
    published: Sequence[PublishedData],
    out: Path,
    wheels: Sequence[Path],
    watch: Watch | None,
    settings: Settings,
) -> BundleParts:
    from mimctl.bundling.data import fetch_data
    from mimctl.bundling.parts import BundleParts
    from mimctl.bundling.weights import config_weights, named_weights

    zoo = zoo_models(settings, watch)
    weights, models = config_weights(extras.configs, wheels, zoo)
    weights += named_weights(extras.weights, zoo)
    there = {each.entry.weights.url for each in models if each.entry.weights is not None}
    progress, note = (watch.progress, watch.note) if watch else (None, None)
    return BundleParts(
        weights=tuple({each.url: each for each in weights if each.url not in there}.values()),
        models=models,
        folders=folders,
        data=fetch_data(published, out, settings=settings, progress=progress, note=note),
    )

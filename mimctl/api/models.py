"""The models of the zoo: ours and those of packages that follow mim's convention."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from mimctl import settings as settings_module
from mimctl.api.place import index_client, workplace
from mimctl.settings import Settings

if TYPE_CHECKING:
    from mimctl.api.place import Watch
    from mimctl.zoo.downloaded import Downloaded


def download(
    plugin: str,
    names: Sequence[str] | str,
    *,
    dest: Path | None = None,
    bases: bool = False,
    log: bool = False,
    from_cache: bool = False,
    watch: Watch | None = None,
    settings: Settings | None = None,
) -> list[Downloaded]:
    """Fetch models of a toolbox's zoo: the weights, verified, and a flattened config beside them.

    `plugin` is a toolbox of ours (it need not be installed), or a package of mim's convention that is installed.
    `dest` is a folder (None: the cache). With `bases` the config comes with the files that it is built on, with `log`
    the published log of the training; `from_cache` takes nothing that is not in the cache. Raises what
    `zoo.download.download_models` raises.
    """
    from mimctl.launch.toolbox import find_installed, find_working_plugin, say_which
    from mimctl.plugin.mim import MimPackage, find_packages
    from mimctl.plugin.openmmlab import CATALOGUES
    from mimctl.zoo.download import Wanted, download_models
    from mimctl.zoo.package import PackageZoo

    settings = settings or settings_module.load()
    if from_cache:
        settings = replace(settings, offline=True)
    place = workplace(settings)
    found = find_working_plugin(plugin, place) or find_installed(plugin, place, is_required="==" in plugin)
    if found is not None and watch is not None and (told := say_which(plugin, found, place)):
        watch.note(told)
    fetch = partial(
        download_models,
        names=[names] if isinstance(names, str) else names,
        dest=dest,
        settings=settings,
        wanted=Wanted(bases=bases, log=log, from_cache=from_cache),
        progress=watch.progress if watch else None,
        note=watch.note if watch else None,
    )
    if isinstance(found, MimPackage):
        zoo = PackageZoo(found, cache_dir=settings.cache_dir, others=find_packages(place.paths))
        return fetch(found.name, index=zoo, configs=zoo)
    return fetch(
        found.name if found else CATALOGUES.get(plugin, plugin),
        index=index_client(settings),
        configs_dir=found.configs_dir if found else None,
        python=place.python,
    )

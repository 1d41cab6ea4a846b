"""The models of the zoo: ours and those of packages that follow mim's convention."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mimctl import settings as settings_module
from mimctl.api.place import index_client, workplace
from mimctl.settings import Settings

if TYPE_CHECKING:
    from mimctl.api.place import Watch
    from mimctl.zoo.download import Downloaded


def download(
    plugin: str,
    names: Sequence[str] | str,
    *,
    dest: Path | None = None,
    watch: Watch | None = None,
    settings: Settings | None = None,
) -> list[Downloaded]:
    """Fetch models of a toolbox's zoo: the weights, verified, and a flattened config beside them.

    `plugin` is a toolbox of ours (it need not be installed), or a package of mim's convention that is installed.
    `dest` is a folder (None: the cache).
    """
    from mimctl.launch.toolbox import find_installed, find_working_plugin, say_which
    from mimctl.plugin.mim import MimPackage, find_packages
    from mimctl.plugin.openmmlab import CATALOGUES
    from mimctl.zoo.download import download_models
    from mimctl.zoo.package import PackageZoo

    settings = settings or settings_module.load()
    place = workplace(settings)
    found = find_working_plugin(plugin, place) or find_installed(plugin, place, is_required="==" in plugin)
    if found is not None and watch is not None and (told := say_which(plugin, found, place)):
        watch.note(told)
    wanted = [names] if isinstance(names, str) else names
    note = watch.note if watch else None
    progress = watch.progress if watch else None
    if isinstance(found, MimPackage):
        zoo = PackageZoo(found, cache_dir=settings.cache_dir, others=find_packages(place.paths))
        return download_models(
            found.name, wanted, dest=dest, index=zoo, settings=settings, configs=zoo, progress=progress, note=note
        )
    return download_models(
        found.name if found else CATALOGUES.get(plugin, plugin),
        wanted,
        dest=dest,
        index=index_client(settings),
        settings=settings,
        configs_dir=found.configs_dir if found else None,
        python=place.python,
        progress=progress,
        note=note,
    )

"""The models of the zoo."""

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

    `dest` is a folder (None: the cache). The toolbox need not be installed.
    """
    from mimctl.plugin.discover import OPENMMLAB_NAMES
    from mimctl.zoo.download import download_models

    settings = settings or settings_module.load()
    place = workplace(settings)
    found = next((each for each in place.working_plugins if plugin in (each.name, *each.manifest.aliases)), None)
    return download_models(
        found.name if found else OPENMMLAB_NAMES.get(plugin, plugin),
        [names] if isinstance(names, str) else names,
        dest=dest,
        index=index_client(settings),
        settings=settings,
        configs_dir=found.configs_dir if found else None,
        python=place.python,
        progress=watch.progress if watch else None,
        note=watch.note if watch else None,
    )

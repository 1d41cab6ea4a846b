"""Where a verb works: the target interpreter, the workplace in it, the index, and who is told."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from mimctl.settings import Settings

if TYPE_CHECKING:
    from mimctl.environment.installed import Target
    from mimctl.environment.model import Environment
    from mimctl.index.client import IndexClient
    from mimctl.installer.asking.requirements_file import FileContents
    from mimctl.installer.model import InstallOptions
    from mimctl.installer.prepare import Places
    from mimctl.launch.model import ConfigOptions, LaunchOptions
    from mimctl.launch.place import Workplace
    from mimctl.transfer import TransferSettings
    from mimctl.zoo.source import ZooModels


class Watch(Protocol):
    """Who is told of a transfer or an installation while it goes."""

    def progress(self, name: str, done: int, total: int | None) -> None:
        """Take how many bytes of a file are there."""

    def note(self, text: str) -> None:
        """Take one line that a person may want to read."""


def find_target(settings: Settings) -> Target:
    """Return the interpreter that is worked on."""
    from mimctl.environment.target import find_target as find

    source = str(settings.origin("python"))
    return find(settings.python, environ=os.environ, folder=Path.cwd(), source=source)


def workplace(settings: Settings, launch: LaunchOptions | None = None, watch: Watch | None = None) -> Workplace:
    """Return the target with its toolboxes and, where `launch` asks for them, its GPUs; `watch` is told which it is."""
    from mimctl.launch.workplace import find_workplace

    # Looking for GPUs costs a process; no need where the answer would change nothing.
    counts = launch is not None and launch.launcher != "slurm" and launch.gpus != 0 and launch.procs is None
    place = find_workplace(settings, counts_gpus=counts)
    if watch is not None:
        watch.note(f"target: {place.python} ({place.source})")
        place = replace(place, note=watch.note)
    return place


def as_config_options(config: ConfigOptions | str) -> ConfigOptions:
    """Return which config is meant: a name or a path alone changes nothing in it."""
    from mimctl.launch.model import ConfigOptions

    return ConfigOptions(config=config) if isinstance(config, str) else config


def zoo_models(settings: Settings, watch: Watch | None) -> ZooModels:
    """Return where weights come from that are not on this disk; `watch` is told of their transfer."""
    from mimctl.zoo.source import ZooModels

    return ZooModels(settings, progress=watch.progress if watch else None, note=watch.note if watch else None)


def index_client(settings: Settings, *, only_looks: bool = False) -> IndexClient:
    """Return who reads mimctl's indexes; who `only_looks` fetches nothing of what they speak of."""
    from mimctl.index.client import IndexClient
    from mimctl.transfer import is_remote

    def transfer() -> TransferSettings:
        from mimctl.zoo.way import transfer_settings

        return transfer_settings(settings)

    if not only_looks or any(map(is_remote, settings.index)):  # a folder's documents are read where they are
        from mimctl.transfer.cache import open_cache

        open_cache(settings.cache_dir)
    return IndexClient(settings.index, transfer, settings.cache_dir, settings.offline)


def package_places(
    settings: Settings,
    env: Environment | None,
    options: InstallOptions | None = None,
    contents: FileContents | None = None,
) -> Places:
    """Return where distributions come from: mimctl's indexes, and what pip and uv are configured with for `env`.

    What the command line says of package indexes counts most, then what requirements files say.
    """
    from mimctl.index.client import IndexClient
    from mimctl.index.sources import read_sources
    from mimctl.index.sources import transfer_settings as as_configured
    from mimctl.installer.model import InstallOptions
    from mimctl.installer.prepare import Places
    from mimctl.transfer.cache import open_cache
    from mimctl.zoo.way import transfer_settings

    open_cache(settings.cache_dir)
    options = options or InstallOptions()
    if contents is not None:
        options = with_contents(options, contents)
    sources = read_sources(
        os.environ,
        python_prefix=env.paths.prefix if env is not None else None,
        index_url=options.index_url,
        extra_index_urls=options.extra_index_urls,
        find_links=options.find_links,
        no_index=options.no_index,
    )
    sources = replace(sources, trusted_hosts=(*sources.trusted_hosts, *options.trusted_hosts))
    is_chosen = settings.origin("http_timeout_s").file != "default"
    transfer = as_configured(transfer_settings(settings), sources, keeps_timeout=is_chosen)
    return Places(
        client=IndexClient(settings.index, transfer, settings.cache_dir, transfer.offline),
        sources=sources,
        transfer=transfer,
        cache_dir=settings.cache_dir,
        torch_index=settings.torch_index,
        strategy=settings.index_strategy,
    )


def with_contents(options: InstallOptions, contents: FileContents) -> InstallOptions:
    """Return the choices with what requirements files say of package indexes."""
    return replace(
        options,
        pre=options.pre or contents.pre,
        index_url=options.index_url or contents.index_url,
        extra_index_urls=(*options.extra_index_urls, *contents.extra_index_urls),
        find_links=(*options.find_links, *contents.find_links),
        no_index=options.no_index or contents.no_index,
        trusted_hosts=(*options.trusted_hosts, *contents.trusted_hosts),
    )

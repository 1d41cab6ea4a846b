"""Where a verb works: the target interpreter, the workplace in it, the index, and who is told."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from mimctl.settings import Settings

if TYPE_CHECKING:
    from mimctl.environment.model import Target
    from mimctl.index.client import IndexClient
    from mimctl.launch.model import LaunchOptions, Workplace


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
    return place


def index_client(settings: Settings) -> IndexClient:
    """Return who reads mimctl's indexes."""
    from mimctl.index.client import IndexClient
    from mimctl.zoo.weights import transfer_settings

    return IndexClient(settings.index, transfer_settings(settings), settings.cache_dir, settings.offline)

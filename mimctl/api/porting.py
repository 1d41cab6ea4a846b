"""Custom modules moved to mimctl's names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from mimctl import settings as settings_module
from mimctl.api.place import workplace
from mimctl.errors import MimctlError
from mimctl.settings import Settings

if TYPE_CHECKING:
    from mimctl.porting.files import Porting


def port(places: Sequence[Path], *, write: bool = False, settings: Settings | None = None) -> Porting:
    """Port files and folders written against MMEngine, MMCV and their toolboxes; without `write` nothing is changed.

    Nothing of them is imported. Files that are no Python, or that cannot be written, are in `refused`. Raises
    UsageError[port-not-found].
    """
    from mimctl.porting.counterparts import find_names
    from mimctl.porting.files import Porting, port_files, write_all

    try:
        plugins = workplace(settings or settings_module.load()).working_plugins
    except MimctlError:
        plugins = []  # no environment to look into: what the engine and vision offer is known without one
    names = find_names((each.name, each.package, each.package_dir) for each in plugins)
    parts = [port_files(place.expanduser(), names) for place in places]
    files = {file.path: file for part in parts for file in part.files}
    porting = Porting(
        files=tuple(files.values()),
        refused=tuple(error for part in parts for error in part.refused),
        links=tuple(dict.fromkeys(link for part in parts for link in part.links)),
        seen=sum(part.seen for part in parts),
    )
    return replace(porting, refused=(*porting.refused, *write_all(porting))) if write else porting

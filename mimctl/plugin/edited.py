"""Whether the table of types of a toolbox that is edited in place can be behind its source, by times alone."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from mimctl.plugin.model import BrokenPlugin, Plugin

SLACK_S = 2.0
"""Files of one check-out or one unpacked archive are written in any order."""


def may_be_stale(plugin: Plugin | BrokenPlugin) -> bool:
    """Return whether a toolbox is edited in place and has no table, or a source file that is newer than its table."""
    if not isinstance(plugin, Plugin) or not plugin.is_editable:
        return False
    try:
        written = (plugin.package_dir / "types.json").stat().st_mtime
    except OSError:
        return True
    return _newest(plugin.package_dir) > written + SLACK_S


def _newest(folder: Path) -> float:
    newest = 0.0
    for place, folders, names in os.walk(folder):
        folders[:] = [each for each in folders if each != "__pycache__"]
        for name in names:
            if name.endswith(".py"):
                with contextlib.suppress(OSError):  # a link to nothing
                    newest = max(newest, Path(place, name).stat().st_mtime)
    return newest

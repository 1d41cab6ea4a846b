"""What authors of toolboxes need."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

from mimctl import settings as settings_module
from mimctl.api.place import Watch, workplace
from mimctl.settings import Settings

if TYPE_CHECKING:
    from mimctl.authoring.model import CheckReport


def check_plugin(
    toolbox: str = ".",
    *,
    writes: bool = True,
    runs: bool = True,
    watch: Watch | None = None,
    settings: Settings | None = None,
) -> CheckReport:
    """Check a toolbox as its author: a folder in which it is written, or the name of an installed one.

    Manifest, imports, table of types (written anew where it is behind and `writes`), configs, packaging, and where
    `runs` what only the target's interpreter tells: that verbs and types import and that models are built. Raises
    UsageError[no-toolbox-here], MimctlError[plugin-not-installed | engine-missing]; mistakes are in the report.
    """
    from mimctl.authoring.check import check_toolbox

    place = workplace(settings or settings_module.load(), watch=watch)
    return check_toolbox(toolbox, place, writes=writes, runs=runs)


def new_plugin(name: str, folder: Path | None = None, *, settings: Settings | None = None) -> list[Path]:
    """Write a toolbox called `name` that trains at once, into `folder` (default: `mimctl-NAME` here); return its files.

    Raises UsageError where the name is taken or is none, and where the folder holds files.
    """
    from mimctl.authoring.new import write_toolbox
    from mimctl.errors import MimctlError

    place = None
    with contextlib.suppress(MimctlError):  # it can be written where there is no environment to install it into
        place = workplace(settings or settings_module.load())
    return write_toolbox(name, (folder or Path(f"mimctl-{name.replace('_', '-')}")).absolute(), place)

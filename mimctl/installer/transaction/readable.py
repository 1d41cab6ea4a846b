"""What is installed into an environment that several users share can be read by all of them, whatever the umask."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterable
from pathlib import Path

from mimctl.environment.model import Environment
from mimctl.files import umask
from mimctl.installer.transaction.snapshot import claimed_by, distributions_inside

_READ = stat.S_IRGRP | stat.S_IROTH
_WRITE = stat.S_IWGRP | stat.S_IWOTH
_SEARCH = stat.S_IXGRP | stat.S_IXOTH


def make_readable(env: Environment, names: Iterable[str]) -> None:
    """Give the files of distributions the rights that the folder of packages has for its group and for others.

    Under umask 077 pip and uv write files that nobody else can read, into an environment that everybody uses. Where
    the folder is the user's alone, or the umask takes nothing away, nothing is done. Rights are added, never removed;
    files of other users are left as they are.
    """
    granted = _granted(env.paths.purelib)
    if not granted & umask():
        return
    wanted = set(names)
    folders: set[Path] = set()
    for each in distributions_inside(env):
        if each.name not in wanted:
            continue
        for claimed in claimed_by(each):
            path = Path(os.path.normpath(claimed))
            if path.is_relative_to(env.paths.prefix):
                _add(path, granted)
                folders.update(parent for parent in path.parents if parent.is_relative_to(env.paths.purelib.parent))
    for folder in folders - {env.paths.purelib.parent}:
        _add(folder, granted)


def _granted(folder: Path) -> int:
    try:
        return folder.stat().st_mode & (_READ | _WRITE | _SEARCH)
    except OSError:
        return 0


def _add(path: Path, granted: int) -> None:
    """Add what is granted; to a file the right to run only where its owner has it."""
    with contextlib.suppress(OSError):
        facts = path.lstat()
        if not (stat.S_ISREG(facts.st_mode) or stat.S_ISDIR(facts.st_mode)):
            return
        more = granted if facts.st_mode & stat.S_IXUSR else granted & ~_SEARCH
        if more & ~facts.st_mode:
            path.chmod(stat.S_IMODE(facts.st_mode) | more)

"""Folders and copies of files, in MMEngine's names: on this machine, and on other back ends where they can do it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO, Any

from mimctl.engine.files import fileio
from mimctl.engine.files.fileio import BackendArgs, LocalBackend, PathLike, backend_for
from mimctl.errors import MimctlError


def mkdir_or_exist(dir_name: PathLike, mode: int = 0o777) -> None:
    """Make a folder and those around it, where they are missing; an empty name means none."""
    if str(dir_name):
        Path(dir_name).expanduser().mkdir(mode=mode, parents=True, exist_ok=True)


def check_file_exist(filename: PathLike, msg_tmpl: str = 'file "{}" does not exist') -> None:
    """Raise FileNotFoundError unless the file is there."""
    if not Path(filename).is_file():
        raise FileNotFoundError(msg_tmpl.format(filename))


def is_filepath(x: Any) -> bool:
    """Say whether `x` could be a path: a text or a Path."""
    return isinstance(x, str | Path)


def is_abs(path: str) -> bool:
    """Say whether a path is absolute or has a back end's prefix."""
    return Path(path).is_absolute() or "://" in path


def fopen(filepath: PathLike, *args: Any, **kwargs: Any) -> IO[Any]:
    """Open a file as `open` does; TypeError for anything that is no path."""
    if not is_filepath(filepath):
        raise TypeError(f"a path is needed, got {filepath!r}")
    stream: IO[Any] = Path(filepath).open(*args, **kwargs)  # noqa: SIM115 - the caller closes it
    return stream


def symlink(src: PathLike, dst: PathLike, overwrite: bool = True, **kwargs: Any) -> None:
    """Make `dst` a link to `src`, in place of what was there where `overwrite` is set."""
    if os.path.lexists(dst) and overwrite:
        Path(dst).unlink()
    Path(dst).symlink_to(src, **kwargs)


def scandir(
    dir_path: PathLike,
    suffix: str | tuple[str, ...] | None = None,
    recursive: bool = False,
    case_sensitive: bool = True,
) -> Iterator[str]:
    """Yield the paths of the files in a folder, relative to it; names that begin with a dot are left out."""
    if not isinstance(dir_path, str | Path):
        raise TypeError(f"a path is needed, got {dir_path!r}")
    if suffix is not None and not isinstance(suffix, str | tuple):
        raise TypeError(f"`suffix` must be a text or several, got {suffix!r}")
    yield from list_dir_or_file(
        dir_path, list_dir=False, suffix=suffix, recursive=recursive, case_sensitive=case_sensitive
    )


def list_dir_or_file(
    dir_path: PathLike,
    list_dir: bool = True,
    list_file: bool = True,
    suffix: str | tuple[str, ...] | None = None,
    recursive: bool = False,
    backend_args: BackendArgs = None,
    *,
    case_sensitive: bool = True,
) -> Iterator[str]:
    """Yield folders and files in a folder of this machine, relative to it; names that begin with a dot are left out.

    A suffix selects files and asks for no folders (TypeError).
    """
    if list_dir and suffix is not None:
        raise TypeError("a suffix selects files: give `list_dir=False` with it")
    _need_local(dir_path, backend_args)
    wanted = (suffix,) if isinstance(suffix, str) else suffix
    if wanted is not None and not case_sensitive:
        wanted = tuple(each.lower() for each in wanted)
    root = Path(dir_path)

    def walk(folder: Path) -> Iterator[str]:
        for each in sorted(folder.iterdir()):
            if each.name.startswith("."):
                continue
            relative = str(each.relative_to(root))
            if each.is_dir():
                if list_dir:
                    yield relative
                if recursive:
                    yield from walk(each)
            elif list_file:
                name = relative if case_sensitive else relative.lower()
                if wanted is None or name.endswith(wanted):
                    yield relative

    yield from walk(root)


def isdir(filepath: PathLike, backend_args: BackendArgs = None) -> bool:
    """Say whether a path of this machine is a folder."""
    return isinstance(backend_for(filepath, backend_args), LocalBackend) and Path(filepath).is_dir()


def isfile(filepath: PathLike, backend_args: BackendArgs = None) -> bool:
    """Say whether a path is a file."""
    if isinstance(backend_for(filepath, backend_args), LocalBackend):
        return Path(filepath).is_file()
    return fileio.exists(filepath, backend_args)


def join_path(filepath: PathLike, *filepaths: PathLike, backend_args: BackendArgs = None) -> str:
    """Join the parts of a path."""
    if isinstance(backend_for(filepath, backend_args), LocalBackend):
        return os.path.join(filepath, *filepaths)  # noqa: PTH118 - keeps `./` and a trailing slash
    return "/".join([str(filepath).rstrip("/"), *(str(each).strip("/") for each in filepaths)])


def get_local_path(filepath: PathLike, backend_args: BackendArgs = None) -> AbstractContextManager[Path]:
    """Give a path on this machine while the `with` block runs: the file itself, or a temporary copy of it."""
    return fileio.local_path(filepath, backend_args)


def copyfile(src: PathLike, dst: PathLike, backend_args: BackendArgs = None) -> str:
    """Copy a file to a file or into a folder, and return the new path."""
    _need_local(src, backend_args)
    return str(shutil.copy(src, dst))


def copytree(src: PathLike, dst: PathLike, backend_args: BackendArgs = None) -> str:
    """Copy a folder to a new one, and return it."""
    _need_local(src, backend_args)
    return str(shutil.copytree(src, dst))


def copyfile_from_local(src: PathLike, dst: PathLike, backend_args: BackendArgs = None) -> str:
    """Copy a file of this machine to a back end's path."""
    if isinstance(backend_for(dst, backend_args), LocalBackend):
        return str(shutil.copy(src, dst))
    fileio.put(Path(src).read_bytes(), dst, backend_args)
    return str(dst)


def copyfile_to_local(src: PathLike, dst: PathLike, backend_args: BackendArgs = None) -> PathLike:
    """Copy a back end's file to this machine."""
    if isinstance(backend_for(src, backend_args), LocalBackend):
        return str(shutil.copy(src, dst))
    target = Path(dst)
    target = target / str(src).rpartition("/")[2] if target.is_dir() else target
    target.write_bytes(fileio.get(src, backend_args))
    return target


def remove(filepath: PathLike, backend_args: BackendArgs = None) -> None:
    """Delete a file of this machine."""
    _need_local(filepath, backend_args)
    Path(filepath).unlink()


def rmtree(dir_path: PathLike, backend_args: BackendArgs = None) -> None:
    """Delete a folder of this machine with all that is in it."""
    _need_local(dir_path, backend_args)
    shutil.rmtree(dir_path)


def _need_local(path: PathLike, backend_args: BackendArgs) -> None:
    if not isinstance(backend_for(path, backend_args), LocalBackend):
        raise MimctlError(f"{path} is not on this machine, where alone this can be done", code="no-permission")

"""Reading and writing files wherever they lie: local paths, and http(s) through fsspec (an extra).

`backend_args` (and OpenMMLab's older `file_client_args`) are accepted everywhere; a path's own prefix decides the back
end where they name none.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

from mimctl.errors import ConfigError, MimctlError
from mimctl.files import umask

BackendArgs = Mapping[str, Any] | None
PathLike = str | os.PathLike[str]


class Backend(Protocol):
    """What a back end can do with a path of its kind."""

    def get(self, path: str) -> bytes:
        """Return the file's bytes; raise MimctlError[missing-file]."""
        ...

    def put(self, data: bytes, path: str) -> None:
        """Write the bytes, making parent folders; the file is never seen half-written."""
        ...

    def exists(self, path: str) -> bool:
        """Tell whether a file or folder is there."""
        ...

    def list_dir(self, path: str) -> list[str]:
        """Return the names in a folder, sorted."""
        ...


class LocalBackend:
    """Files of this machine."""

    def get(self, path: str) -> bytes:
        """Return the file's bytes; raise MimctlError[missing-file]."""
        try:
            with open(path, "rb") as file:  # noqa: PTH123 - the hot path of image loading
                return file.read()
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as err:
            raise missing_file(path) from err
        except PermissionError as err:
            raise MimctlError(f"no permission to read {path}", code="no-permission") from err

    def put(self, data: bytes, path: str) -> None:
        """Write the bytes, making parent folders; the file is never seen half-written."""
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
            Path(temporary).chmod(0o666 & ~umask())
            Path(temporary).replace(target)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise

    def exists(self, path: str) -> bool:
        """Tell whether a file or folder is there."""
        return Path(path).exists()

    def list_dir(self, path: str) -> list[str]:
        """Return the names in a folder, sorted."""
        try:
            return sorted(os.listdir(path))  # noqa: PTH208 - names are wanted, not paths
        except (FileNotFoundError, NotADirectoryError) as err:
            raise missing_file(path) from err


class HttpBackend:
    """Files behind http(s), read only, through fsspec (`pip install fsspec aiohttp`)."""

    def get(self, path: str) -> bytes:
        """Return the file's bytes; raise MimctlError[missing-file]."""
        system = _http_system()
        try:
            data: bytes = system.cat_file(path)
        except FileNotFoundError as err:
            raise missing_file(path) from err
        except OSError as err:
            raise MimctlError(f"{path} cannot be read", code="network", causes=[str(err)], exit_code=4) from err
        return data

    def put(self, data: bytes, path: str) -> None:
        """Refuse: http is read only."""
        raise MimctlError(f"{path} cannot be written: http addresses are read only", code="no-permission")

    def exists(self, path: str) -> bool:
        """Tell whether a file is there."""
        return bool(_http_system().exists(path))

    def list_dir(self, path: str) -> list[str]:
        """Return the names that the address's page links to, sorted."""
        return sorted(str(each).rstrip("/").rpartition("/")[2] for each in _http_system().ls(path, detail=False))


def backend_for(path: PathLike, backend_args: BackendArgs = None) -> Backend:
    """Return the back end of a path: as `backend_args['backend']` says, else by the path's prefix.

    Raises ConfigError[unknown-backend].
    """
    name = (backend_args or {}).get("backend")
    if name is None:
        scheme = str(path).partition("://")[0] if "://" in str(path) else "file"
        name = {"file": "local", "http": "http", "https": "http"}.get(scheme, scheme)
    if name in ("local", "disk"):
        return LocalBackend()
    if name in ("http", "https"):
        return HttpBackend()
    raise ConfigError(
        f"no file back end `{name}` for {path}",
        code="unknown-backend",
        causes=["back ends are local (or disk) and http"],
    )


def get(filepath: PathLike, backend_args: BackendArgs = None) -> bytes:
    """Return the bytes of a file. Raises MimctlError[missing-file], naming it."""
    return backend_for(filepath, backend_args).get(_plain(filepath))


def get_text(filepath: PathLike, encoding: str = "utf-8", backend_args: BackendArgs = None) -> str:
    """Return the text of a file. Raises MimctlError[missing-file] or [bad-annotations] where it is no text."""
    try:
        return get(filepath, backend_args).decode(encoding)
    except UnicodeDecodeError as err:
        raise MimctlError(f"{filepath} is not {encoding} text", code="bad-annotations", causes=[str(err)]) from err


def put(obj: bytes, filepath: PathLike, backend_args: BackendArgs = None) -> None:
    """Write bytes to a file, making its folder."""
    backend_for(filepath, backend_args).put(obj, _plain(filepath))


def put_text(obj: str, filepath: PathLike, backend_args: BackendArgs = None) -> None:
    """Write UTF-8 text to a file, making its folder."""
    put(obj.encode("utf-8"), filepath, backend_args)


def exists(filepath: PathLike, backend_args: BackendArgs = None) -> bool:
    """Tell whether a file or folder is there."""
    return backend_for(filepath, backend_args).exists(_plain(filepath))


def list_dir(path: PathLike, backend_args: BackendArgs = None) -> list[str]:
    """Return the names in a folder, sorted. Raises MimctlError[missing-file]."""
    return backend_for(path, backend_args).list_dir(_plain(path))


@contextlib.contextmanager
def local_path(path: PathLike, backend_args: BackendArgs = None) -> Iterator[Path]:
    """Give a path on this machine that holds the file while the block runs (itself, or a temporary copy)."""
    backend = backend_for(path, backend_args)
    if isinstance(backend, LocalBackend):
        yield Path(_plain(path))
        return
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / str(path).rstrip("/").rpartition("/")[2]
        copy.write_bytes(backend.get(str(path)))
        yield copy


def join(prefix: str, path: str) -> str:
    """Return `path` under `prefix`; a path that is absolute or has a scheme stays as it is."""
    if not prefix or not path or "://" in path or Path(path).is_absolute():
        return path if path or not prefix else prefix
    if "://" in prefix:
        return f"{prefix.rstrip('/')}/{path}"
    return os.path.join(prefix, path)  # noqa: PTH118 - keeps a trailing slash and a leading `./`


def missing_file(path: PathLike) -> MimctlError:
    """Return the error for a data file that is not there, with the first folder of its path that is missing."""
    missing = Path(_plain(path))
    causes = []
    if "://" not in str(path):
        while missing.parent != missing and not missing.parent.exists():
            missing = missing.parent
        if missing != Path(_plain(path)):
            causes = [f"the folder {missing} does not exist"]
    if not Path(_plain(path)).is_absolute() and "://" not in str(path):
        causes.append(f"relative paths start in the current folder, {Path.cwd()}")
    return MimctlError(
        f"no file {path}",
        code="missing-file",
        causes=causes,
        hints=["look at data_root, ann_file and data_prefix in the config"],
    )


def _plain(path: PathLike) -> str:
    return os.fspath(path).removeprefix("file://")


def _http_system() -> Any:
    try:
        import fsspec

        return fsspec.filesystem("http")
    except ImportError as err:
        raise MimctlError(
            "reading files over http needs fsspec and aiohttp",
            code="missing-extra",
            causes=[str(err)],
            hints=["pip install fsspec aiohttp", "or download the data and give its path"],
        ) from err

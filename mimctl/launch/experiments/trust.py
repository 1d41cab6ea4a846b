"""Whose word a config is: what came with a checkpoint may neither import modules nor reach into other files unasked."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mimctl.config.beside import is_downloaded
from mimctl.errors import ConfigError, Origin
from mimctl.plugin.discover import Plugin

if TYPE_CHECKING:
    from typing import Any

    from mimctl.config import Config

_RUN_NAMES = ("epoch_", "iter_", "best_", "last")


def require_trust(
    config: Config, path: Path, *, is_trusted: bool, plugins: Sequence[Plugin] = (), is_foreign: bool | None = None
) -> None:
    """Refuse a config of somebody else that imports modules, or is built on files beyond its folder and the toolboxes.

    `is_foreign` says whose it is; left out, a config that a download wrote is somebody else's. `is_trusted` is the
    user's consent (`--trust-config`). Raises ConfigError[untrusted-config].
    """
    if is_trusted or not (is_downloaded(path) if is_foreign is None else is_foreign):
        return
    modules = imports_of(config)
    if modules:
        raise _untrusted(
            f"`{path.name}` came with a checkpoint and wants to import {', '.join(f'`{each}`' for each in modules)}",
            "importing a module runs its code",
            config.origin("custom_imports") or Origin(file=str(path)),
        )
    outside = [each for each in config.files if not _is_below(each, _own_folders(path, plugins))]
    if outside:
        raise _untrusted(
            f"`{path.name}` came with a checkpoint and is built on `{outside[0]}`",
            "a file beyond its own folder may hold what is nobody else's business",
            Origin(file=str(path)),
        )


def imports_of(config: Mapping[str, Any]) -> list[str]:
    """Return the modules that a config asks to import by `custom_imports`."""
    wanted = config.get("custom_imports")
    names = wanted.get("imports", []) if isinstance(wanted, Mapping) else wanted or []
    return [names] if isinstance(names, str) else [str(each) for each in names]


def is_of_run(checkpoint: Path) -> bool:
    """Whether a checkpoint lies where a training of ours put it: it has such a name, and the run's specification names
    this very folder. A folder that came from elsewhere, or was moved, does not.
    """
    if not checkpoint.stem.startswith(_RUN_NAMES):
        return False
    folder = checkpoint.parent.resolve()
    return any(_work_dir_of(spec) == folder for spec in folder.glob("*/spec.json"))


def _work_dir_of(spec: Path) -> Path | None:
    try:
        found = json.loads(spec.read_text(encoding="utf-8"))["work_dir"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return Path(found).resolve() if isinstance(found, str) else None


def _own_folders(path: Path, plugins: Iterable[Plugin]) -> list[Path]:
    return [path.parent.resolve(), *(plugin.configs_dir.resolve() for plugin in plugins)]


def _is_below(file: str, folders: Sequence[Path]) -> bool:
    resolved = Path(file).resolve()
    return any(resolved.is_relative_to(folder) for folder in folders)


def _untrusted(message: str, cause: str, origin: Origin) -> ConfigError:
    return ConfigError(
        message,
        code="untrusted-config",
        causes=[cause],
        hints=["if you trust where it comes from: `--trust-config`"],
        origin=origin,
    )

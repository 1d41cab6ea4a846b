"""What is known of our own distributions that are installed: versions, requirements, recorded hashes and builds."""

from __future__ import annotations

import json
from pathlib import Path

from mimctl.environment.distributions import archive_sha256, is_from_source, read_metadata
from mimctl.environment.model import Distribution, Environment
from mimctl.installer.model import InstalledOwn
from mimctl.installer.names import is_own


def read_installed(env: Environment) -> dict[str, InstalledOwn]:
    """Return our installed distributions by name, read from their `.dist-info` folders."""
    return {each.name: _read(each) for each in env.distributions.values() if is_own(each.name)}


def _read(distribution: Distribution) -> InstalledOwn:
    return InstalledOwn(
        name=distribution.name,
        version=distribution.version,
        requires_dist=tuple(read_metadata(distribution).get("requires-dist", ())),
        sha256=archive_sha256(distribution),
        is_from_source=is_from_source(distribution),
        backend=_backend(distribution),
    )


def _backend(distribution: Distribution) -> str | None:
    """Return the backend that an op package's `build.json` names."""
    path = distribution.path.parent / distribution.name.replace("-", "_") / "build.json"
    try:
        data = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    backend = data.get("backend") if isinstance(data, dict) else None
    return backend if isinstance(backend, str) else None

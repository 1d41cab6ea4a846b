"""What is installed in a target, read from `.dist-info` folders as it is asked for."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from mimctl.environment.distributions import archive_sha256, is_from_source
from mimctl.environment.installed import Distribution
from mimctl.environment.model import Environment
from mimctl.resolution.names import is_own

if TYPE_CHECKING:
    from mimctl.resolution.model import Present


class InstalledIn:
    """The installed distributions of an environment as the resolver asks for them; each is read once."""

    def __init__(self, env: Environment) -> None:
        self._distributions = env.distributions
        self._present: dict[str, Present] = {}
        self._requires_dist: dict[str, tuple[str, ...]] = {}

    def names(self) -> Iterable[str]:
        """Return the normalised names of all that is installed."""
        return self._distributions

    def get(self, name: str) -> Present | None:
        """Return what is installed of that name."""
        distribution = self._distributions.get(name)
        if distribution is None:
            return None
        if name not in self._present:
            self._present[name] = _read(distribution)
        return self._present[name]

    def requires_dist(self, name: str) -> tuple[str, ...]:
        """Return the declared requirements of an installed distribution, none where they cannot be read."""
        distribution = self._distributions.get(name)
        if distribution is None:
            return ()
        if name not in self._requires_dist:
            self._requires_dist[name] = read_requires_dist(distribution)
        return self._requires_dist[name]


def read_installed(env: Environment) -> dict[str, Present]:
    """Return our installed distributions by name."""
    return {each.name: _read(each) for each in env.distributions.values() if is_own(each.name)}


def read_requires_dist(distribution: Distribution) -> tuple[str, ...]:
    """Return the `Requires-Dist` lines of a distribution's METADATA.

    Only the header is looked at, and only these fields: a hundred distributions in a few milliseconds.
    """
    for name in ("METADATA", "PKG-INFO"):
        try:
            text = (distribution.path / name).read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        found: list[str] = []
        is_continued = False
        for line in text.split("\n\n", 1)[0].splitlines():
            if line[:14].lower() == "requires-dist:":
                found.append(line[14:].strip())
            elif line[:1] in (" ", "\t") and found and is_continued:
                found[-1] += f" {line.strip()}"
                continue
            is_continued = line[:14].lower() == "requires-dist:"
        return tuple(found)
    return ()


def _read(distribution: Distribution) -> Present:
    from mimctl.resolution.model import Present

    return Present(
        name=distribution.name,
        version=distribution.version,
        sha256=archive_sha256(distribution),
        is_from_source=is_from_source(distribution),
        backend=_backend(distribution),
    )


def _backend(distribution: Distribution) -> str | None:
    """Return the backend that an op package's `build.json` names."""
    if not is_own(distribution.name):
        return None
    path = distribution.path.parent / distribution.name.replace("-", "_") / "build.json"
    try:
        data = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    backend = data.get("backend") if isinstance(data, dict) else None
    return backend if isinstance(backend, str) else None

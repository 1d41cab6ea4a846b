"""Wheels that are about to be placed, as lines of a requirements file that pip and uv read alike."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

_SHOWN = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Staged:
    """A wheel that is at hand, verified."""

    name: str
    """Normalised (PEP 503)."""
    version: str
    path: Path
    """Absolute; the file bears its wheel's own name and is the only wheel of its folder."""
    sha256: str
    is_named: bool
    """Whether it shall be installed by name, as if from an index (`pip freeze` says `numpy==2.1.0`), not by its place,
    which the installer records together with the hash (PEP 610)."""
    origin: str | None = None
    """What is recorded instead (the JSON of `direct_url.json`), where it was fetched or built from another place."""


def staged_lines(wheels: Iterable[Staged]) -> str:
    """Return a requirements file that names exactly these wheels, each with the hash that it must have.

    All is in it, not on a command line: addresses are quoted, so any character may stand in a path, and nothing grows
    beyond what a system takes as arguments.
    """
    places, lines = [], []
    for each in wheels:
        if each.is_named:
            places.append(f"--find-links {each.path.parent.as_uri()}")
            lines.append(f"{each.name}=={each.version} --hash=sha256:{each.sha256}")
        else:
            address = f"{each.path.as_uri()}#sha256={each.sha256}"
            lines.append(f"{each.name} @ {address} --hash=sha256:{each.sha256}")
    return "".join(f"{line}\n" for line in (*dict.fromkeys(places), *lines))


def named(names: Sequence[str]) -> str:
    """Return names for a message, the first few and how many more."""
    shown = ", ".join(f"`{name}`" for name in names[:_SHOWN])
    return f"{shown} and {len(names) - _SHOWN} more" if len(names) > _SHOWN else shown

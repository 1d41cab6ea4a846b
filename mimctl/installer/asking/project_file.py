"""What a project's folder says of itself without being built: the static fields of pyproject.toml (PEP 621)."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mimctl.errors import MimctlError, Origin
from mimctl.index.filenames import normalise
from mimctl.resolution.model import Metadata

_NEEDED = frozenset({"name", "version", "dependencies", "optional-dependencies", "requires-python"})


def read_static_metadata(folder: Path) -> Metadata | None:
    """Return a project's metadata, None where only its build tells all of it.

    Raises MimctlError[bad-project] where pyproject.toml is not what PEP 621 says.
    """
    path = folder / "pyproject.toml"
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as err:
        raise _bad(path, str(err)) from err
    project = document.get("project")
    if not isinstance(project, dict) or _NEEDED & set(project.get("dynamic", ())):
        return None
    if not isinstance(project.get("name"), str) or not isinstance(project.get("version"), str):
        return None
    from packaging.version import InvalidVersion, Version

    try:
        version = str(Version(project["version"]))
        requires = tuple(_requirements(project))
    except (InvalidVersion, ValueError, TypeError, AttributeError) as err:
        raise _bad(path, str(err).splitlines()[0]) from err
    return Metadata(
        name=normalise(project["name"]),
        version=version,
        requires_dist=requires,
        requires_python=project.get("requires-python"),
        extras=tuple(normalise(extra) for extra in project.get("optional-dependencies", {})),
    )


def _requirements(project: Mapping[str, Any]) -> Iterator[str]:
    from packaging.markers import Marker
    from packaging.requirements import Requirement

    for text in project.get("dependencies", ()):
        yield str(Requirement(text))
    for extra, texts in project.get("optional-dependencies", {}).items():
        for text in texts:
            requirement = Requirement(text)
            mark = f"extra == '{normalise(extra)}'"
            requirement.marker = Marker(f"({requirement.marker}) and {mark}" if requirement.marker else mark)
            yield str(requirement)


def _bad(path: Path, cause: str) -> MimctlError:
    return MimctlError(
        f"`{path}` does not describe a project", code="bad-project", causes=[cause], origin=Origin(file=str(path))
    )

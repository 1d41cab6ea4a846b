"""Who may set what: a project's file comes with a repository, so what could do harm counts only once it is accepted.

What was accepted is remembered in the user's home for one folder and one value; another value is asked for anew.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mimctl.errors import ConfigError, Origin

_SCHEMA_VERSION = 1


class Request(NamedTuple):
    """A value that a project's file sets, and the line on which it stands."""

    name: str
    value: object
    origin: Origin

    @property
    def folder(self) -> str:
        """Return the folder of the project's file, links resolved."""
        return os.path.realpath(Path(self.origin.file).parent)

    def record(self) -> dict[str, str]:
        """Return what is remembered of an acceptance: a hash of the value, which may hold a password."""
        import hashlib
        import json

        plain = json.dumps(self.value, sort_keys=True, default=str)
        return {"folder": self.folder, "setting": self.name, "sha256": hashlib.sha256(plain.encode()).hexdigest()}


def not_accepted(requests: Iterable[Request], home: Path) -> tuple[Request, ...]:
    """Return those of `requests` that the user has not accepted."""
    records = _read(home)
    return tuple(each for each in requests if each.record() not in records)


def accept(requests: Iterable[Request], home: Path) -> Path:
    """Remember values as accepted, and return the file that says so."""
    records = _read(home)
    return _write(home, [*records, *(new for each in requests if (new := each.record()) not in records)])


def take_back(folder: Path, home: Path) -> int:
    """Forget all that was accepted for the project's file in `folder`; return how many values that were."""
    records = _read(home)
    kept = [each for each in records if each.get("folder") != os.path.realpath(folder)]
    if len(kept) < len(records):
        _write(home, kept)
    return len(records) - len(kept)


def refusal(requests: Sequence[Request]) -> ConfigError:
    """Return the error for values that nobody has accepted; the values themselves are not in it."""
    names = ", ".join(f"`{each.name}`" for each in requests)
    return ConfigError(
        f"the project's file sets {names}, and you have not accepted that",
        code="untrusted-settings",
        causes=["whoever wrote the file would decide where packages come from, or what is run"],
        hints=[
            "see the values: `mimctl settings show --origin`",
            "accept them for this folder: `mimctl settings trust`",
            *(f"or name your own: `{_FLAGS[each.name]}`" for each in requests if each.name in _FLAGS),
        ],
        origin=requests[0].origin,
    )


_FLAGS: Mapping[str, str] = {"index": "--index ADDRESS", "python": "--python PATH"}


def _file(home: Path) -> Path:
    return home / "accepted.json"


def _read(home: Path) -> list[dict[str, Any]]:
    import json

    try:
        document = json.loads(_file(home).read_text(encoding="utf-8"))
        records = document["accepted"] if document["schema_version"] == _SCHEMA_VERSION else []
        return [each for each in records if isinstance(each, dict)]
    except (OSError, ValueError, KeyError, TypeError):
        return []  # nothing is accepted then, which harms nobody


def _write(home: Path, records: Sequence[Mapping[str, Any]]) -> Path:
    import json

    home.mkdir(parents=True, exist_ok=True)
    temporary = home / f".accepted.json.{os.getpid()}"
    text = json.dumps({"schema_version": _SCHEMA_VERSION, "accepted": list(records)}, indent=2)
    temporary.write_text(text + "\n", encoding="utf-8")
    temporary.replace(_file(home))
    return _file(home)

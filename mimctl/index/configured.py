"""One value of pip's or uv's configuration, and where it stands."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from mimctl.errors import ConfigError, Origin

Tool = Literal["pip", "uv", "mimctl"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Configured:
    """A value as it is used. It may hold a password: `shown` does not."""

    tool: Tool
    """Whose configuration it is; `mimctl` for options of the command line."""
    key: str
    """As pip's options are called: `index-url`, `extra-index-url`, `find-links`, `no-index`, `cert`, …"""
    value: str = field(repr=False)
    origin: Origin

    @property
    def shown(self) -> str:
        """Return the value fit for a message."""
        from mimctl.transfer import redact

        return redact(self.value)


def unreadable(path: Path, tool: Tool, cause: str) -> ConfigError:
    """Return the error for a configuration file of pip or uv that cannot be read."""
    return ConfigError(
        f"{tool}'s configuration file `{path}` cannot be read",
        code="settings",
        causes=[cause],
        hints=[f"mend the file; {tool} itself stumbles over it too"],
        origin=Origin(file=str(path)),
    )


def line_with(text: str, key: str) -> int | None:
    """Return the 1-based line on which a file sets `key`, in either spelling of hyphens."""
    for number, line in enumerate(text.splitlines(), 1):
        name = line.partition("=")[0].partition(":")[0].strip().strip("\"'").lower().replace("_", "-")
        if name == key:
            return number
    return None

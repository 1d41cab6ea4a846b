"""Where a value came from: each file on the way that set it, the first base first, then the command line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mimctl.config.config import Config
from mimctl.config.files.bases import Search
from mimctl.errors import ConfigError, Origin

_ABSENT = object()


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One place that set a value."""

    value: Any
    origin: Origin | None


class History:
    """The files that a config is built on, each evaluated by itself (at its first use)."""

    def __init__(self, config: Config, search: Search | None = None) -> None:
        self.config = config
        self.search = search
        self._held: list[Config] | None = None

    def of(self, path: str) -> list[Step]:
        """Return the places that set the value at a dotted path, the one that counts last; none: it has never been.

        The last one is missing where a file or the command line removed the value again: see `is_gone`.
        """
        steps: list[Step] = []
        for config in (*self._files(), self.config):
            value = config.select(path, _ABSENT)
            if value is _ABSENT:
                continue
            step = Step(value=value, origin=config.origin(path))
            if not steps or steps[-1].origin != step.origin or repr(steps[-1].value) != repr(value):
                steps.append(step)
        return steps

    def is_gone(self, path: str) -> bool:
        """Whether the config as it is has no such value."""
        return self.config.select(path, _ABSENT) is _ABSENT

    def _files(self) -> list[Config]:
        if self._held is None:
            self._held = []
            for file in self.config._files:
                try:
                    self._held.append(Config.fromfile(file, search=self.search))
                except ConfigError:
                    continue  # a piece that is read only as a part of another file
        return self._held

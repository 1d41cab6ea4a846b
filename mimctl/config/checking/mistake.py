"""What a rule finds: a mistake with the dotted path of the value that is wrong, before it becomes an error."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from mimctl.config.config import Config
from mimctl.errors import ConfigError, Origin, did_you_mean


@dataclass(frozen=True, slots=True, kw_only=True)
class Mistake:
    """One mistake. `near` are names that may have been meant; `place` is set where no path leads to the value."""

    path: str
    message: str
    code: str
    causes: tuple[str, ...] = ()
    near: tuple[str, ...] = ()
    hints: tuple[str, ...] = ()
    place: Origin | None = None

    def to_error(self, config: Config) -> ConfigError:
        """Return the error that a person reads, with the file and line of the value."""
        shown = did_you_mean(self.near)
        return ConfigError(
            self.message,
            code=self.code,
            causes=self.causes,
            hints=[*shown, *self.hints],
            origin=self.place or origin_near(config, self.path),
        )


Mistakes = Iterator[Mistake]


def origin_near(config: Config, path: str) -> Origin | None:
    """Return where the value at a path was written, else the nearest value around it that has a place."""
    while path:
        found = config.origin(path)
        if found is not None:
            return found
        path = path.rpartition(".")[0]
    return None

"""Several mistakes as one error: the first in full, each other with its place and what may have been meant."""

from __future__ import annotations

from collections.abc import Sequence

from mimctl.errors import ConfigError


def raise_all(errors: Sequence[ConfigError]) -> None:
    """Raise the first error with the others as further causes; none → return."""
    if not errors:
        return
    first, *others = errors
    if not others:
        raise first
    raise ConfigError(
        first.message,
        code=first.code,
        causes=[*first.causes, *map(_line, others)],
        hints=first.hints,
        origin=first.origin,
        details={"errors": [each.to_dict() for each in errors]},
    )


def _line(error: ConfigError) -> str:
    meant = next((each for each in error.hints if each.startswith("did you mean")), "")
    return f"also {error.origin or 'in the config'}: {error.message}{f'; {meant}' if meant else ''}"

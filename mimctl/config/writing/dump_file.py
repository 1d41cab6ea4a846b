"""Writes configs as files: the format by the suffix, whole or not at all."""

from __future__ import annotations

from mimctl.config.values import ConfigDict
from mimctl.config.writing.dump import to_python
from mimctl.config.writing.dump_plain import to_json, to_yaml
from mimctl.errors import ConfigError

_WRITERS = {".py": to_python, ".yaml": to_yaml, ".yml": to_yaml, ".json": to_json}


def text_in(config: ConfigDict, suffix: str) -> str:
    """Return a config as text of a format; raise ConfigError[config-format] where that cannot carry it."""
    if suffix not in _WRITERS:
        raise ConfigError(f"a config can be written as {', '.join(_WRITERS)}, not `{suffix}`", code="config-format")
    return _WRITERS[suffix](config)

"""Writes a config as YAML or JSON that loads back to the same value.

YAML carries tuples (`!!python/tuple`), sets (`!!set`) and imported classes (`!import module.Name`) by tags, JSON none.
"""

from __future__ import annotations

import json
import re
from typing import Any

from mimctl.config.language.carried import HALF_PAIR, require_carried
from mimctl.config.language.environment import conceal
from mimctl.config.values import ConfigDict, LazyReference

IMPORT_TAG = "!import"
SET_TAG = "tag:yaml.org,2002:set"
TUPLE_TAG = "tag:yaml.org,2002:python/tuple"

_WIDTH = 110
_LINE_ENDS = re.compile("[\x85\u2028\u2029]")


def to_yaml(config: dict[str, Any]) -> str:
    """Return YAML text; raise ConfigError[config-format] for what loading it would not give back."""
    require_carried(config, "YAML")
    config = conceal(config)
    import yaml

    class Dumper(yaml.SafeDumper):
        """Writes our values; nothing is written as an alias of what stands elsewhere."""

        def ignore_aliases(self, data: Any) -> bool:
            return True

    def write_tuple(dumper: Dumper, value: tuple[Any, ...]) -> Any:
        return dumper.represent_sequence(TUPLE_TAG, value, flow_style=not any(map(_has_items, value)))

    def write_set(dumper: Dumper, value: set[Any]) -> Any:
        return dumper.represent_mapping(SET_TAG, dict.fromkeys(sorted(value, key=repr)))

    Dumper.add_representer(ConfigDict, Dumper.represent_dict)
    Dumper.add_representer(tuple, write_tuple)
    Dumper.add_representer(set, write_set)
    Dumper.add_representer(LazyReference, lambda dumper, value: dumper.represent_scalar(IMPORT_TAG, _address(value)))
    text: str = yaml.dump(config, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=_WIDTH)
    if _LINE_ENDS.search(text):  # they would be read as the end of a line
        text = yaml.dump(config, Dumper=Dumper, sort_keys=False, allow_unicode=False, width=_WIDTH)
    return text


def to_json(config: dict[str, Any]) -> str:
    """Return JSON text, with `NaN` and `Infinity` as Python writes and reads them.

    Raises ConfigError[config-format] for what loading it would not give back.
    """
    require_carried(config, "JSON")
    text = json.dumps(conceal(config), indent=1, ensure_ascii=False)
    return HALF_PAIR.sub(lambda half: f"\\u{ord(half[0]):04x}", text) + "\n"


def read_import(address: str) -> LazyReference:
    """Return the reference that stands behind `!import`: `module.Name`, or `module:` for the module itself."""
    if address.endswith(":"):
        return LazyReference(address[:-1])
    module, _, name = address.rpartition(".")
    return LazyReference(module, name)


def _address(reference: LazyReference) -> str:
    return str(reference) if reference.name else f"{reference.module}:"


def _has_items(value: Any) -> bool:
    return isinstance(value, (dict, list, tuple, set))

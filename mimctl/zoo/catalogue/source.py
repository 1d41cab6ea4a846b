"""The source files of the catalogue: `<toolbox>.yaml`, one line a model, so that a change is read line by line."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from mimctl.errors import IntegrityError
from mimctl.files import write_text
from mimctl.zoo.document import document_of, parse_zoo
from mimctl.zoo.model import Zoo

_HEAD = """\
# The models that the toolbox `{plugin}` knows. `mimctl zoo import` writes this file anew;
# docs/reference/catalogue.md says what the keys mean.
"""

_JSON_FLOAT = re.compile(r"-?\d+(\.\d+)?[eE][+-]?\d+$")


def path_of(folder: Path, plugin: str) -> Path:
    """Return where a toolbox's source lies."""
    return folder / f"{plugin}.yaml"


def read(path: Path) -> Zoo:
    """Return the zoo of a source file, an empty one where there is no file; raise IntegrityError[bad-zoo]."""
    if not path.is_file():
        return Zoo(plugin=path.stem)
    return parse_zoo(_load(path), shown=f"`{path}`")


def write(path: Path, zoo: Zoo) -> None:
    """Write a source file, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, to_text(zoo), mode=0o666)


def to_text(zoo: Zoo) -> str:
    """Return the text of a source: YAML whose lists have one line an element, each in JSON's own spelling."""
    document = document_of(zoo)
    lines = [f"{_HEAD.format(plugin=zoo.plugin)}schema_version: {document['schema_version']}"]
    lines += [f"plugin: {_json(zoo.plugin)}"]
    if zoo.collections:
        families = document["collections"].items()
        lines += ["collections:", *(f"  {_json(name)}: {_json(each)}" for name, each in families)]
    lines += ["models:" if zoo.models else "models: []", *(f"- {_json(each)}" for each in document["models"])]
    return "\n".join(lines) + "\n"


def load_yaml(body: bytes) -> Any:
    """Return YAML as plain data, by libyaml where it is there: ten times as fast. Raises yaml.YAMLError, ValueError."""
    import yaml

    base = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    loader: Any = type("Loader", (base,), {})  # YAML 1.1 takes JSON's `1e-05` for a text
    loader.add_implicit_resolver("tag:yaml.org,2002:float", _JSON_FLOAT, list("-0123456789"))
    return yaml.load(body, loader)


def _load(path: Path) -> Any:
    import yaml

    try:
        return load_yaml(path.read_bytes())
    except (yaml.YAMLError, ValueError, RecursionError) as err:
        raise IntegrityError(f"`{path}` is no YAML", code="bad-zoo", causes=[" ".join(str(err).split())[:200]]) from err


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)

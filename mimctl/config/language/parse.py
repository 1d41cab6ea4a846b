"""Reads config source: Python into a syntax tree, YAML and JSON into values that know their lines."""

from __future__ import annotations

import ast
import bisect
import json
import os
import re
import stat
import sys
import threading
from collections.abc import Iterator
from typing import Any

from mimctl.config.language.limits import MAX_DEPTH, MAX_SOURCE_BYTES, Meter, origin_of
from mimctl.config.language.templates import quote_bare_environment, quote_base_references
from mimctl.config.values import ConfigDict, Place, new_dict
from mimctl.config.writing.dump_plain import IMPORT_TAG, SET_TAG, TUPLE_TAG, read_import
from mimctl.errors import ConfigError

SUFFIXES = (".py", ".yaml", ".yml", ".json")


_WARNINGS = threading.Lock()  # filters of warnings are the whole process's: two threads would restore each other's


def read_source(path: str) -> str:
    """Return the text of a config file; raise ConfigError where it is missing, too large or no UTF-8 text."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # noqa: PTH116 - thousands of files in one run
            raise ConfigError(f"the config {origin_of((path, 0))} is no regular file", code="config-format")
        with open(path, "rb") as stream:  # noqa: PTH123
            data = stream.read(MAX_SOURCE_BYTES + 1)
    except FileNotFoundError as err:
        raise ConfigError(f"there is no config {origin_of((path, 0))}", code="config-not-found") from err
    except (OSError, ValueError) as err:
        why = err.strerror if isinstance(err, OSError) else "its name holds a null character"
        raise ConfigError(f"cannot read the config {path!r}: {why}", code="config-not-found") from err
    if len(data) > MAX_SOURCE_BYTES:
        raise ConfigError("this config is larger than 400 kB", code="config-limits", origin=origin_of((path, 0)))
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as err:
        line = data.count(b"\n", 0, err.start) + 1
        raise ConfigError("a config must be UTF-8 text", code="config-syntax", origin=origin_of((path, line))) from err


def parse_python(text: str, file: str) -> list[ast.stmt]:
    """Return the statements of a Python config; raise ConfigError[config-syntax] with its line."""
    try:
        return _parse(text)
    except SyntaxError as err:
        failure = err
    except (ValueError, MemoryError, RecursionError) as err:
        raise ConfigError("this source cannot be parsed", code="config-syntax", origin=origin_of((file, 1))) from err
    if "{{" in text and "$" in text:
        try:
            return _parse(quote_bare_environment(text))
        except SyntaxError as err:
            failure = err
    raise ConfigError(
        f"not valid Python: {failure.msg}",
        code="config-syntax",
        causes=[failure.text.strip()] if failure.text else [],
        origin=origin_of((file, failure.lineno or 1)),
    ) from failure


def is_pure_python(body: list[ast.stmt]) -> bool:
    """Say whether a config is in the pure-Python style: `read_base()`, or imports of more than the standard library.

    The first node that tells decides, outermost first; that is the rule of MMEngine 0.10.7.
    """
    for node in ast.walk(ast.Module(body, [])):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == "_base_":
            return False
        if isinstance(node, ast.With):
            return True
        if isinstance(node, ast.ImportFrom):
            is_own = node.module == "mmengine" and [alias.name for alias in node.names] == ["Config"]
            if node.level or not (is_own or _is_standard(node.module or "")):
                return True
        elif isinstance(node, ast.Import) and not all(_is_standard(alias.name) for alias in node.names):
            return True
    return False


def _is_standard(module: str) -> bool:
    return module.partition(".")[0] in sys.stdlib_module_names


def _parse(text: str) -> list[ast.stmt]:
    import warnings

    with _WARNINGS, warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)
        warnings.simplefilter("ignore", DeprecationWarning)
        return ast.parse(text).body


def parse_yaml(text: str, file: str) -> ConfigDict:
    """Return the mapping of a YAML config; raise ConfigError[config-syntax] with its line."""
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)(quote_base_references(text))
    try:
        root = loader.get_single_node()
        return _top(_YamlReader(file, loader).read(root, 0) if root is not None else ConfigDict(), file)
    except yaml.MarkedYAMLError as err:
        line = err.problem_mark.line + 1 if err.problem_mark else 1
        message = f"not valid YAML: {err.problem}"
        raise ConfigError(message, code="config-syntax", origin=origin_of((file, line))) from err
    except (yaml.YAMLError, ValueError) as err:
        raise ConfigError(f"not valid YAML: {err}", code="config-syntax", origin=origin_of((file, 1))) from err
    except RecursionError as err:
        message = "this YAML is nested too deeply"
        raise ConfigError(message, code="config-limits", origin=origin_of((file, 1))) from err
    finally:
        loader.dispose()


_MOST_DIGITS = 70
"""Of a number in YAML or JSON: what 256 bits have in hexadecimal and octal notation, more or less."""
_YAML_NUMBERS = frozenset({"tag:yaml.org,2002:int", "tag:yaml.org,2002:float"})
_YAML_TAGS = frozenset({"tag:yaml.org,2002:seq", "tag:yaml.org,2002:map", TUPLE_TAG, SET_TAG})


class _YamlReader:
    """Turns YAML nodes into values, charging for every element so that aliases cannot explode."""

    def __init__(self, file: str, loader: Any) -> None:
        self.meter = Meter(file)
        self.loader = loader

    def read(self, node: Any, depth: int) -> Any:
        self.meter.line = node.start_mark.line + 1
        self.meter.charge(1)
        if depth > MAX_DEPTH:
            raise self.meter.fail(f"values are nested deeper than {MAX_DEPTH}", code="config-limits")
        if node.id != "scalar" and node.tag not in _YAML_TAGS:
            raise self.meter.fail(f"the tag {node.tag} is refused", code="config-not-data")
        if node.id == "sequence":
            items = [self.read(item, depth + 1) for item in node.value]
            return tuple(items) if node.tag == TUPLE_TAG else items
        if node.id == "mapping":
            values = self._mapping(node, depth)
            return set(values) if node.tag == SET_TAG else values
        if node.tag == "tag:yaml.org,2002:timestamp":
            return node.value
        self.meter.charge_text(len(node.value))
        if node.tag == IMPORT_TAG:
            return read_import(node.value)
        if node.tag in _YAML_NUMBERS and len(node.value) > _MOST_DIGITS:
            raise self.meter.fail("this number is longer than any config needs", code="config-limits")
        return self.loader.construct_object(node)

    def _mapping(self, node: Any, depth: int) -> ConfigDict:
        values: dict[Any, Any] = {}
        places: dict[Any, Place] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            value = self.read(value_node, depth + 1)
            if key_node.tag == "tag:yaml.org,2002:merge":
                for source in value if isinstance(value, list) else [value]:
                    if not isinstance(source, dict):
                        self.meter.line = line
                        raise self.meter.fail("`<<` merges mappings", code="config-syntax")
                    for key, item in source.items():
                        values.setdefault(key, item)
                        places.setdefault(key, (self.meter.file, line))
                continue
            key = self.read(key_node, depth + 1)
            if not _is_hashable(key):
                self.meter.line = line
                raise self.meter.fail("a key must be a plain value", code="config-syntax")
            self.meter.weigh_key(key)
            self.meter.weigh_key(key)
            values[key], places[key] = value, (self.meter.file, line)
        return new_dict(values, places)


def _is_hashable(key: Any) -> bool:
    return all(map(_is_hashable, key)) if type(key) is tuple else not isinstance(key, (list, dict, set))


def parse_json(text: str, file: str) -> ConfigDict:
    """Return the object of a JSON config; raise ConfigError[config-syntax] with its line."""
    text = quote_base_references(text)
    try:
        json.loads(text)
        return _top(_JsonReader(text, file).read(), file)
    except json.JSONDecodeError as err:
        message = f"not valid JSON: {err.msg}"
        raise ConfigError(message, code="config-syntax", origin=origin_of((file, err.lineno))) from err
    except (RecursionError, ValueError) as err:
        message = "this JSON is nested too deeply or holds too long a number"
        raise ConfigError(message, code="config-limits", origin=origin_of((file, 1))) from err


class _JsonReader:
    """Builds values out of JSON text that is known to be valid, noting the line of every key."""

    _TOKEN = re.compile(r'"(?:\\.|[^"\\])*"|[{}\[\],:]|[^\s{}\[\],:"]+')

    def __init__(self, text: str, file: str) -> None:
        self.file = file
        self.newlines = [match.start() for match in re.finditer("\n", text)]
        self.tokens: Iterator[re.Match[str]] = self._TOKEN.finditer(text)

    def read(self, token: str | None = None) -> Any:
        token = token or next(self.tokens)[0]
        if token == "[":
            items = []
            while (token := next(self.tokens)[0]) != "]":
                if token != ",":
                    items.append(self.read(token))
            return items
        if token == "{":
            return self._object()
        if token[0] in "-0123456789" and len(token) > _MOST_DIGITS:
            raise ValueError("a number too long")
        return json.loads(token)

    def _object(self) -> ConfigDict:
        values: dict[str, Any] = {}
        places: dict[str, Place] = {}
        while (match := next(self.tokens))[0] != "}":
            if match[0] == ",":
                continue
            key = json.loads(match[0])
            next(self.tokens)
            values[key] = self.read()
            places[key] = (self.file, bisect.bisect(self.newlines, match.start()) + 1)
        return new_dict(values, places)


def _top(value: Any, file: str) -> ConfigDict:
    if not isinstance(value, ConfigDict):
        message = f"a config is a mapping, not a {type(value).__name__}"
        raise ConfigError(message, code="config-syntax", origin=origin_of((file, 1)))
    return value

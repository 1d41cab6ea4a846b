"""Loads a config file with its bases; evaluated bases are cached for as long as their files stay as they are."""

from __future__ import annotations

import ast
import os
import re
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mimctl.config.evaluate import BASE, Interpreter, reads_bases
from mimctl.config.late import LateOverrides
from mimctl.config.limits import MAX_BASES, MAX_SOURCE_BYTES, MAX_UNITS, Meter, origin_of
from mimctl.config.merge import merge
from mimctl.config.packages import find_in_packages, find_module, import_path
from mimctl.config.parse import SUFFIXES, is_pure_python, parse_json, parse_python, parse_yaml, read_source
from mimctl.config.templates import NoTemplates, Templates
from mimctl.config.values import ConfigDict, LazyReference, Place, copy_value, new_dict
from mimctl.errors import ConfigError, nearest

Search = Callable[[str], Path]
"""`pkg::path` → the file in the configs of another toolbox; None: look beside the file and on this import path."""
Stamp = tuple[str, int, int]

_MAX_CHAIN = 40
_MAX_TOTAL_UNITS = 3 * MAX_UNITS


@dataclass(slots=True, kw_only=True)
class Loaded:
    """One evaluated file: its values with its bases merged in, and what they depend on."""

    data: ConfigDict
    references: dict[str, LazyReference] = field(default_factory=dict)
    stamps: list[Stamp] = field(default_factory=list)
    environment: dict[str, str | None] = field(default_factory=dict)
    uses_search: bool = False
    is_pure_python: bool = False
    """Written in the style that reads its bases with `read_base()` and imports its types."""

    def depend_on(self, other: Loaded) -> None:
        """Take over what another file, that this one is built on, depends on."""
        self.stamps.extend(other.stamps)
        self.environment.update(other.environment)
        self.uses_search |= other.uses_search

    def is_fresh(self) -> bool:
        """Say whether the files and environment variables are still as they were."""
        return all(os.environ.get(name) == held for name, held in self.environment.items()) and all(
            _stamp(stamp[0]) == stamp for stamp in self.stamps
        )


def _stamp(path: str) -> Stamp:
    try:
        facts = os.stat(path)  # noqa: PTH116 - on the path of every load
    except OSError:
        return (path, -1, -1)
    return (path, facts.st_mtime_ns, facts.st_size)


class BaseCache:
    """Evaluated bases by absolute path, the most recently used `limit` of them."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.held: OrderedDict[str, Loaded] = OrderedDict()

    def get(self, path: str) -> Loaded | None:
        """Return what is held of `path` if it is still true."""
        found = self.held.get(path)
        if found is None or not found.is_fresh():
            return None
        self.held.move_to_end(path)
        return found

    def put(self, path: str, loaded: Loaded) -> None:
        """Hold `loaded`, dropping the least recently used beyond the limit."""
        self.held[path] = loaded
        self.held.move_to_end(path)
        while len(self.held) > self.limit:
            self.held.popitem(last=False)


_CACHE = BaseCache(limit=200)


class Loader:
    """Loads one config and everything it is built on; `late` are overrides of its variables (dotted path → value)."""

    def __init__(self, search: Search | None = None, *, late: Mapping[str, Any] | None = None) -> None:
        self.search = search
        self.late = LateOverrides(late) if late else None
        self.cache = _CACHE if self.late is None else BaseCache(limit=MAX_BASES)
        self.num_files = 0
        self.num_units = 0
        self.chain: list[str] = []

    def load_file(self, path: str) -> Loaded:
        """Return the values of the config at absolute `path`, which the caller owns.

        A file without bases is likely to be one: it is kept, for whoever is built on it.
        """
        loaded = self.cache.get(path)
        if loaded is None:
            loaded = self._evaluate(path)
            if len(loaded.stamps) > 1 or loaded.uses_search:
                return loaded
            self.cache.put(path, loaded)
        return replace(loaded, data=copy_value(loaded.data))

    def _evaluate(self, path: str) -> Loaded:
        suffix = os.path.splitext(path)[1].lower()  # noqa: PTH122
        if suffix not in SUFFIXES:
            message = f"a config is a {', '.join(SUFFIXES)} file, not `{suffix}`"
            raise ConfigError(message, code="config-format", origin=origin_of((path, 0)))
        self.num_files += 1
        if self.num_files > MAX_BASES or len(self.chain) > _MAX_CHAIN:
            message = f"this config is built on more than {MAX_BASES} files"
            raise ConfigError(message, code="config-limits", origin=origin_of((path, 0)))
        stamp = _stamp(path)
        self.chain.append(path)
        try:
            loaded = self.load_text(read_source(path), suffix, path)
        finally:
            self.chain.pop()
        loaded.stamps.append(stamp)
        return loaded

    def load_text(self, text: str, suffix: str, file: str) -> Loaded:
        """Evaluate source text that stands, or is said to stand, in `file`."""
        if len(text) > MAX_SOURCE_BYTES:
            raise ConfigError("this config is larger than 400 kB", code="config-limits", origin=origin_of((file, 0)))
        if suffix == ".py":
            return self._load_python(text, file)
        parsed = parse_json(text, file) if suffix == ".json" else parse_yaml(text, file)
        return self._load_parsed(parsed, file)

    def _load_python(self, text: str, file: str) -> Loaded:
        body = parse_python(text, file)
        loaded = Loaded(data=ConfigDict(), is_pure_python="import" in text and is_pure_python(body))
        base: ConfigDict | None = None
        for index, statement in enumerate(body):
            if isinstance(statement, ast.Assign) and _assigns_base(statement):
                base = self._bases_of(statement, file, loaded)
                body = body[:index] + body[index + 1 :]
                break
        if loaded.is_pure_python:
            body.sort(key=lambda statement: not reads_bases(statement))  # what the bases define is there from the start
        fill = NoTemplates if loaded.is_pure_python else Templates
        templates = fill(file, lambda dotted: _look_up(base, dotted))
        interpreter = Interpreter(
            file,
            templates,
            base=base,
            read_base=lambda module, level: self._read_base(module, level, file, interpreter.line, loaded),
            late=self.late,
        )
        found = copy_value(interpreter.run_file(body))
        self._count(MAX_UNITS - interpreter.left, file)
        loaded.data = found if base is None else merge(found, self._unshared(base, interpreter))
        loaded.references = interpreter.references()
        loaded.environment.update(templates.environment)
        return loaded

    def _unshared(self, base: ConfigDict, interpreter: Interpreter) -> ConfigDict:
        """Return the base with no dict in two places, as it is before a file puts one of its dicts into another."""
        if not interpreter.inherited.is_shared:
            if interpreter.inherited.is_read:
                interpreter.weigh(base)  # lists of the base may have been put into themselves
            return base
        interpreter.weigh(base)
        copied: ConfigDict = copy_value(base)
        return copied

    def _count(self, units: int, file: str) -> None:
        self.num_units += units
        if self.num_units > _MAX_TOTAL_UNITS:
            message = "this config and its bases take too many operations or too much memory"
            raise ConfigError(message, code="config-limits", origin=origin_of((file, 0)))

    def _bases_of(self, statement: ast.Assign, file: str, loaded: Loaded) -> ConfigDict:
        evaluator = Interpreter(
            file, Templates(file, lambda dotted: _look_up(None, dotted)), base=None, read_base=_no_base
        )
        name = ast.copy_location(ast.Name("bases", ast.Store()), statement)
        evaluator.run([ast.copy_location(ast.Assign([name], statement.value), statement)])
        return self._load_bases(evaluator.scope["bases"], (file, statement.lineno), loaded)

    def _load_parsed(self, parsed: ConfigDict, file: str) -> Loaded:
        loaded = Loaded(data=parsed)
        place = parsed.place_of(BASE) or (file, 1)
        base = self._load_bases(dict.pop(parsed, BASE), place, loaded) if BASE in parsed else None
        templates = Templates(file, lambda dotted: _look_up(base, dotted))
        try:
            _fill(parsed, templates)
        except KeyError as err:
            raise ConfigError(f"there is no {err.args[0]}", code="config-value", origin=origin_of((file, 1))) from err
        meter = Meter(file)
        meter.weigh(parsed)
        if self.late is not None:
            for name in [each for each in parsed if each in self.late.by_name]:
                dict.__setitem__(parsed, name, self.late.apply(name, parsed[name], meter))
        if base is not None:
            loaded.data = merge(copy_value(parsed), base)
        loaded.environment.update(templates.environment)
        return loaded

    def _load_bases(self, names: Any, place: Place, loaded: Loaded) -> ConfigDict:
        """Load the bases of a file into one dict that the caller owns; they must not define the same key twice."""
        names = [names] if isinstance(names, str) else names
        if not isinstance(names, (list, tuple)) or not all(isinstance(name, str) for name in names):
            message = "`_base_` must be a path or a list of paths"
            raise ConfigError(message, code="config-base", origin=origin_of(place))
        combined = ConfigDict()
        for name in names:
            base = self._load_base(self._resolve(name, place, loaded), place, loaded)
            if base.is_pure_python:
                raise _of_another_style(name, place)
            for key in base.data:
                if key in combined:
                    first = combined.place_of(key)
                    raise ConfigError(
                        f"two bases define `{key}`",
                        code="config-base",
                        causes=[f"at {origin_of(each)}" for each in (first, base.data.place_of(key)) if each],
                        origin=origin_of(place),
                    )
            copied = copy_value(base.data)
            if "::" in name:
                _set_scope(copied, name.partition("::")[0], place)
            dict.update(combined, copied)
            combined.mark(copied._places)
        return combined

    def _load_base(self, path: str, place: Place, loaded: Loaded) -> Loaded:
        found = self.cache.get(path)
        if found is None:
            if path in self.chain:
                circle = " → ".join(str(origin_of((each, 0))) for each in (*self.chain, path))
                message = "the bases of this config form a circle"
                raise ConfigError(message, code="config-base", causes=[circle], origin=origin_of(place))
            found = self._evaluate(path)
            if not found.uses_search:
                self.cache.put(path, found)
        loaded.depend_on(found)
        return found

    def _resolve(self, name: str, place: Place, loaded: Loaded) -> str:
        if "::" in name:
            loaded.uses_search = True
            try:
                found = self.search(name) if self.search else find_in_packages(name, import_path(place[0]))
                path = os.path.abspath(found)  # noqa: PTH100
            except ConfigError as err:
                err.origin = err.origin or origin_of(place)
                raise
            if not os.path.isfile(path):  # noqa: PTH113
                raise _no_such_base(name, path, place)
            return path
        if not self.chain:
            message = f"text that lies in no file has no base `{name}`"
            raise ConfigError(message, code="config-base", origin=origin_of(place))
        path = os.path.normpath(os.path.join(os.path.dirname(place[0]), name))  # noqa: PTH118, PTH120
        if not os.path.isfile(path):  # noqa: PTH113
            raise _no_such_base(name, path, place)
        return path

    def _read_base(self, module: str, level: int, file: str, line: int, loaded: Loaded) -> ConfigDict:
        place = (file, line)
        path = self._module_path(module, level, place, loaded)
        base = self._load_base(path, place, loaded)
        names = copy_value(base.data)
        dict.update(names, base.references)
        return new_dict(names, names._places)

    def _module_path(self, module: str, level: int, place: Place, loaded: Loaded) -> str:
        """Return the file of a base that is named as a module: relative, or inside the package that holds this file."""
        folder = os.path.dirname(place[0])  # noqa: PTH120
        parts = module.split(".")
        if level and self.chain:
            path = os.path.normpath(os.path.join(folder, *[".."] * (level - 1), *parts)) + ".py"  # noqa: PTH118
            if os.path.isfile(path):  # noqa: PTH113
                return path
            raise _no_such_base("." * level + module, path, place)
        while parts[0] in Path(folder).parts:
            if os.path.basename(folder) == parts[0]:  # noqa: PTH119
                path = os.path.join(folder, *parts[1:]) + ".py"  # noqa: PTH118
                if os.path.isfile(path):  # noqa: PTH113
                    return path
            folder = os.path.dirname(folder)  # noqa: PTH120
        found = find_module(module, import_path(place[0]))
        if found is not None:
            loaded.uses_search = True
            return str(found)
        inner = parts[2:] if parts[1:2] == ["configs"] else parts[1:]
        return self._resolve(f"{parts[0]}::{'/'.join(inner)}.py", place, loaded)


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What a config was evaluated from, to evaluate it anew: a file, or text that stands for one."""

    file: str
    text: str | None = None
    suffix: str = ".py"
    search: Search | None = None

    def evaluate(self, late: Mapping[str, Any] | None = None) -> Loaded:
        """Return the values, with overrides of the config's own variables applied where those are assigned."""
        loader = Loader(self.search, late=late)
        if self.text is None:
            return loader.load_file(self.file)
        return loader.load_text(self.text, self.suffix, self.file)


def _set_scope(value: Any, scope: str, place: Place) -> None:
    """Note on the outermost dicts with a `type` that their names belong to the toolbox whose config they come from."""
    if isinstance(value, ConfigDict):
        if "type" in value:
            dict.setdefault(value, "_scope_", scope)
            value.mark({"_scope_": place, **value._places})
            return
        for item in value.values():
            _set_scope(item, scope, place)
    elif isinstance(value, (list, tuple)):
        for item in value:
            _set_scope(item, scope, place)


def _assigns_base(statement: ast.Assign) -> bool:
    target = statement.targets[0]
    return isinstance(target, ast.Name) and target.id == BASE


def _no_base(module: str, level: int) -> ConfigDict:
    raise ValueError("`_base_` names files, not modules")


def _no_such_base(name: str, path: str, place: Place) -> ConfigError:
    folder = Path(path).parent
    near = nearest(Path(path).name, [each.name for each in folder.iterdir()]) if folder.is_dir() else []
    return ConfigError(
        f"there is no base `{name}`",
        code="config-base",
        causes=[f"looked for {origin_of((path, 0))}"],
        hints=[f"did you mean `{near[0]}`?"] if near else [],
        origin=origin_of(place),
    )


def _of_another_style(name: str, place: Place) -> ConfigError:
    """Return the error for a base that MMEngine would not read either: its imports mean something else there."""
    return ConfigError(
        f"the base `{name}` is written in the pure-Python style: it imports what is no module of Python itself",
        code="config-base",
        causes=["`_base_` names files of the classic style, with types as text"],
        hints=["read it with `with read_base():`, or take the import out of the base"],
        origin=origin_of(place),
    )


def _look_up(base: ConfigDict | None, dotted: str) -> Any:
    value: Any = base if base is not None else ConfigDict()
    for part in dotted.split("."):
        if isinstance(value, (list, tuple)) and part.isdigit() and int(part) < len(value):
            value = value[int(part)]
        elif isinstance(value, dict) and part in value:
            value = value[part]
        else:
            raise KeyError(f"_base_.{dotted}")
    return value


def _fill(value: Any, templates: Templates) -> Any:
    """Fill the templates of all strings in parsed YAML or JSON, in place."""
    if isinstance(value, str):
        return templates.fill(value) if "{{" in value else value
    pairs = (
        list(value.items()) if isinstance(value, dict) else list(enumerate(value)) if isinstance(value, list) else []
    )
    for key, item in pairs:
        filled = _fill(item, templates)
        if filled is not item:
            dict.__setitem__(value, key, filled) if isinstance(value, dict) else value.__setitem__(key, filled)
    return value


def reads_name(file: str, name: str) -> bool:
    """Say whether a config file uses a top-level name of itself or of its base, not only assigns it."""
    if not file.endswith(".py"):
        return False
    text = read_source(file)
    if name not in text:
        return False
    used = re.search(rf"_base_\s*\.\s*{re.escape(name)}\b", text) is not None
    tree = ast.Module(parse_python(text, file), [])
    return used or any(
        isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Load) for node in ast.walk(tree)
    )

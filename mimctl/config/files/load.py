"""Loads a config file with its bases; evaluated bases are cached for as long as their files stay as they are."""

from __future__ import annotations

import ast
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from mimctl.config.files.bases import Search, find_file, find_module_file, of_another_style, set_scope
from mimctl.config.files.cache import CACHE, BaseCache, Loaded, stamp_of
from mimctl.config.language.environment import mark
from mimctl.config.language.evaluate import BASE, Interpreter, reads_bases
from mimctl.config.language.limits import MAX_BASES, MAX_SOURCE_BYTES, MAX_UNITS, Meter, origin_of
from mimctl.config.language.parse import SUFFIXES, is_pure_python, parse_json, parse_python, parse_yaml, read_source
from mimctl.config.language.templates import NoTemplates, Templates, fill_all, look_up
from mimctl.config.late import LateOverrides
from mimctl.config.merge import merge
from mimctl.config.values import ConfigDict, Place, copy_value, new_dict
from mimctl.errors import ConfigError

_MAX_CHAIN = 40
_MAX_TOTAL_UNITS = 3 * MAX_UNITS


class Loader:
    """Loads one config and everything it is built on.

    `late` are overrides of its variables (dotted path → value); `fills` says whether names of the file, and of the
    environment, are filled in; `conceals` leaves variables that hold something as they are written.
    """

    def __init__(
        self,
        search: Search | None = None,
        *,
        late: Mapping[str, Any] | None = None,
        fills: tuple[bool, bool] = (True, True),
        conceals: bool = False,
    ) -> None:
        self.search = search
        self.conceals = conceals
        self.fills = fills
        self.late = LateOverrides(late) if late else None
        self.cache = CACHE if self.late is None and all(fills) and not conceals else BaseCache(limit=MAX_BASES)
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
        stamp = stamp_of(path)
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
        templates = fill(file, lambda dotted: look_up(base, dotted), fills=self.fills, conceals=self.conceals)
        interpreter = Interpreter(
            file,
            templates,
            base=base,
            read_base=lambda module, level, line: self._read_base(module, level, (file, line), loaded),
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
            file, Templates(file, lambda dotted: look_up(None, dotted)), base=None, read_base=_no_base
        )
        name = ast.copy_location(ast.Name("bases", ast.Store()), statement)
        evaluator.run([ast.copy_location(ast.Assign([name], statement.value), statement)])
        loaded.environment.update(evaluator.templates.environment)
        return self._load_bases(evaluator.scope["bases"], (file, statement.lineno), loaded)

    def _load_parsed(self, parsed: ConfigDict, file: str) -> Loaded:
        loaded = Loaded(data=parsed)
        place = parsed.place_of(BASE) or (file, 1)
        base = self._load_bases(dict.pop(parsed, BASE), place, loaded) if BASE in parsed else None
        templates = Templates(file, lambda dotted: look_up(base, dotted), fills=self.fills, conceals=self.conceals)
        try:
            fill_all(parsed, templates)
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
            base = self._load_base(self._find(name, place, loaded), place, loaded)
            if base.is_pure_python:
                raise of_another_style(name, place)
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
                set_scope(copied, name.partition("::")[0], place)
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

    def _find(self, name: str, place: Place, loaded: Loaded) -> str:
        if not self.chain and "::" not in name:
            message = f"text that lies in no file has no base `{name}`"
            raise ConfigError(message, code="config-base", origin=origin_of(place))
        loaded.uses_search |= "::" in name
        return find_file(name, place, self.search)

    def _read_base(self, module: str, level: int, place: Place, loaded: Loaded) -> ConfigDict:
        path, is_searched = find_module_file(module, level if self.chain else 0, place, self.search)
        loaded.uses_search |= is_searched
        base = self._load_base(path, place, loaded)
        names = copy_value(base.data)
        dict.update(names, base.references)
        return new_dict(names, names._places)


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What a config was evaluated from, to evaluate it anew: a file, or text that stands for one."""

    file: str
    text: str | None = None
    suffix: str = ".py"
    search: Search | None = None
    fills: tuple[bool, bool] = (True, True)

    def evaluate(self, late: Mapping[str, Any] | None = None) -> Loaded:
        """Return the values, with overrides of the config's own variables applied where those are assigned."""
        loaded = self._evaluate(Loader(self.search, late=late, fills=self.fills))
        held = {name: text for name, text in loaded.environment.items() if text}
        if held:
            try:
                written = self._evaluate(Loader(self.search, late=late, fills=self.fills, conceals=True)).data
            except ConfigError:
                written = None  # what the config computes from a variable fails without it
            loaded.data = mark(loaded.data, written, held)
        return loaded

    def _evaluate(self, loader: Loader) -> Loaded:
        if self.text is None:
            return loader.load_file(self.file)
        return loader.load_text(self.text, self.suffix, self.file)


def _assigns_base(statement: ast.Assign) -> bool:
    target = statement.targets[0]
    return isinstance(target, ast.Name) and target.id == BASE


def _no_base(module: str, level: int, line: int) -> ConfigDict:
    raise ValueError("`_base_` names files, not modules")

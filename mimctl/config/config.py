"""Config: one experiment's settings, read from files as data, with the origin of every value."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, MutableMapping
from pathlib import Path
from typing import Any

from mimctl.config.files.bases import Search
from mimctl.config.files.load import Source
from mimctl.config.language.environment import decode
from mimctl.config.language.limits import origin_of
from mimctl.config.language.usage import reads_name
from mimctl.config.late import follow, is_variable
from mimctl.config.overrides import CFG_OPTIONS, apply_overrides, refuse_indices
from mimctl.config.paths import place_at, select
from mimctl.config.values import ConfigDict, Place, copy_value, wrap
from mimctl.config.writing.dump import to_python
from mimctl.config.writing.dump_file import text_in
from mimctl.errors import ConfigError, Origin
from mimctl.files import write_text


class Config(MutableMapping[str, Any]):
    """A whole config: items and attributes are its top-level keys, dicts inside are ConfigDicts.

    `filename` is the file it was read from (None for text and dicts). `created` are the dotted paths that an
    override put where no file had a key; `overridden` are all paths that `--cfg-options` set; `idle` are those of them
    that change a variable of which the files make nothing. Only `fromfile` and `fromstring` evaluate anything, and
    `merge_from_dict` again what they read; all of them only as data.
    """

    __slots__ = ("_data", "_files", "_late", "_source", "created", "filename", "idle", "overridden")
    _data: ConfigDict
    _files: tuple[str, ...]
    _late: dict[str, Any]
    _source: Source | None
    created: tuple[str, ...]
    filename: str | None
    idle: tuple[str, ...]
    overridden: tuple[str, ...]

    def __init__(
        self,
        cfg_dict: Mapping[str, Any] | None = None,
        cfg_text: str | None = None,
        filename: str | os.PathLike[str] | None = None,
        env_variables: Mapping[str, Any] | None = None,
        format_python_code: bool = True,
    ) -> None:
        """Make a config of values that are there already; MMEngine's other arguments change nothing."""
        object.__setattr__(self, "_data", wrap(dict(cfg_dict or {})))
        object.__setattr__(self, "_files", ())
        object.__setattr__(self, "_late", {})
        object.__setattr__(self, "_source", None)
        object.__setattr__(self, "idle", ())
        object.__setattr__(self, "created", ())
        object.__setattr__(self, "overridden", ())
        object.__setattr__(self, "filename", os.fspath(filename) if filename is not None else None)

    @classmethod
    def fromfile(
        cls,
        filename: str | os.PathLike[str],
        use_predefined_variables: bool = True,
        import_custom_modules: bool = True,
        use_environment_variables: bool = True,
        lazy_import: bool | None = None,
        format_python_code: bool = True,
        *,
        overrides: Mapping[str, Any] | None = None,
        search: Search | None = None,
    ) -> Config:
        """Read a .py, .yaml, .yml or .json config with its bases, then apply `overrides` (dotted path → value).

        Without `use_predefined_variables` `{{ fileDirname }}` and its kin stay as they are, without
        `use_environment_variables` `{{ $NAME:default }}` too. `lazy_import=False` refuses the pure-Python style, which
        is otherwise told by the file. What `custom_imports` names is imported by whoever builds from the config, never
        here, and text is never formatted: MMEngine's two other arguments change nothing.

        `search` finds the file of a base written as `pkg::path`; without it, packages beside the one that the file is a
        config of, and those on this interpreter's import path, are looked into. Nothing is executed. Raises
        ConfigError with file and line: config-not-found, config-syntax, config-not-data, config-value, config-base,
        config-merge, config-limits, config-format, bad-override.
        """
        fills = (use_predefined_variables, use_environment_variables)
        source = Source(file=os.path.abspath(filename), search=search, fills=fills)  # noqa: PTH100
        loaded = source.evaluate()
        if loaded.is_pure_python and lazy_import is False:
            message = "this config is written in the pure-Python style, which `lazy_import=False` leaves out"
            raise ConfigError(message, code="config-base", origin=origin_of((source.file, 0)))
        made = cls._adopt(loaded.data, filename=os.fspath(filename), source=source)
        made._files = tuple(dict.fromkeys(stamp[0] for stamp in loaded.stamps))
        made.merge_from_dict(decode(dict(overrides or {})))
        return made

    @classmethod
    def fromstring(
        cls,
        cfg_str: str,
        file_format: str = ".py",
        *,
        origin: str = "checkpoint meta",
        search: Search | None = None,
    ) -> Config:
        """Read config text (`file_format` .py, .yaml, .yml or .json); `origin` stands for the file in errors."""
        source = Source(file=origin, text=cfg_str, suffix=file_format, search=search)
        return cls._adopt(source.evaluate().data, filename=None, source=source)

    @classmethod
    def _adopt(cls, data: ConfigDict, *, filename: str | None, source: Source | None) -> Config:
        made = cls(filename=filename)
        object.__setattr__(made, "_data", data)
        object.__setattr__(made, "_source", source)
        return made

    def __getitem__(self, key: str) -> Any:
        return self._data[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self._data[key] = value

    def __delitem__(self, key: str) -> None:
        del self._data[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._data)

    def __len__(self) -> int:
        return len(self._data)

    def __contains__(self, key: object) -> bool:
        return key in self._data

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self._data, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in Config.__slots__:
            object.__setattr__(self, name, value)
        else:
            self._data[name] = value

    def __delattr__(self, name: str) -> None:
        delattr(self._data, name)

    def __eq__(self, other: object) -> bool:
        return bool(self._data == (other._data if isinstance(other, Config) else other))

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Config(filename={self.filename!r}, keys={list(self._data)})"

    def __copy__(self) -> Config:
        return self.copy()

    def __deepcopy__(self, memo: dict[int, Any]) -> Config:
        return self.copy()

    def __reduce__(self) -> tuple[Any, ...]:
        return (_rebuild, (dict(self._data), self.filename, self.created))

    def copy(self) -> Config:
        """Return a deep copy."""
        made = self._adopt(copy_value(self._data), filename=self.filename, source=self._source)
        made.created = self.created
        made.overridden = self.overridden
        made.idle = self.idle
        made._files = self._files
        made._late = dict(self._late)
        return made

    @property
    def files(self) -> tuple[str, ...]:
        """Return the files that this config was read from, its bases included."""
        return self._files

    def reads_variable(self, name: str) -> bool:
        """Say whether a file of this config reads the top-level name (True where the files are not known)."""
        return not self._files or any(reads_name(file, name) for file in self._files)

    @staticmethod
    def diff(cfg1: Config | str | os.PathLike[str], cfg2: Config | str | os.PathLike[str]) -> str:
        """Return how the text of two configs (or files) differs, line by line; `mimctl config diff` compares values."""
        import difflib

        first, second = (
            (each if isinstance(each, Config) else Config.fromfile(each)).pretty_text.splitlines()
            for each in (cfg1, cfg2)
        )
        return "\n".join(difflib.unified_diff(first, second, "cfg1", "cfg2", lineterm=""))

    def to_dict(self, keep_imported: bool = False) -> dict[str, Any]:
        """Return plain dicts, lists and tuples."""
        return self._data.to_dict()

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Set top-level keys, a dict going into the dict that is there."""
        self._data.update(*args, **kwargs)

    def merge_from_dict(
        self, options: Mapping[str, Any], allow_list_keys: bool = True, *, origin: str = CFG_OPTIONS[0]
    ) -> None:
        """Set values by dotted path (`a.b.0`); dicts merge into dicts and, with `allow_list_keys`, by index into lists.

        A dict that holds `_delete_=True` replaces what is there; the path `a.b._delete_` empties `a.b` first.
        An override of a variable of the config (`train_pipeline`, `max_epochs`) is applied where the files assign it,
        so that all that they make of it follows; what was set otherwise since they were read is left alone. Raises
        ConfigError[bad-override] where a path runs into a plain value or past the end of a list, and ConfigError with
        the line where the files cannot be evaluated with it.
        """
        place: Place = (origin, 0)
        if not allow_list_keys:
            refuse_indices(self._data, options, place)
        late = {key: value for key, value in options.items() if self._is_late(key.partition(".")[0])}
        if late:
            self._follow(late, origin)
        created = apply_overrides(self._data, options, place)
        self.created = tuple(dict.fromkeys((*self.created, *created)))
        if place == CFG_OPTIONS:
            self.overridden = tuple(dict.fromkeys((*self.overridden, *options)))

    def _is_late(self, name: str) -> bool:
        return name in self._data and name not in self.created and is_variable(name)

    def _follow(self, late: Mapping[str, Any], origin: str) -> None:
        """Evaluate the files anew with overrides of their variables, and carry over what is made of these."""
        before = self._evaluate({})
        for key, value in late.items() if before else ():
            name = key.partition(".")[0]
            try:
                after = self._evaluate({key: value})
            except ConfigError as err:
                err.causes = (*err.causes, f"`{key}` is overridden")
                raise
            place: Place = (f"{origin} {name}", 0)
            has_effect = follow(self._data, before, after, place=place, kept={name, *self.overridden})
            self._late[key] = value
            if origin == CFG_OPTIONS[0] and not has_effect and before.get(name) != after.get(name):
                self.idle = tuple(dict.fromkeys((*self.idle, key)))
            before = after

    def _evaluate(self, late: Mapping[str, Any]) -> ConfigDict:
        """Return what the files say with the overrides of their variables so far and `late`; empty if they are gone."""
        try:
            return self._source.evaluate({**self._late, **late}).data if self._source else ConfigDict()
        except ConfigError as err:
            if err.code != "config-not-found":
                raise
            return ConfigDict()

    def select(self, path: str, default: Any = None) -> Any:
        """Return the value at a dotted path, or `default`."""
        return select(self._data, path, default)

    def origin(self, path: str) -> Origin | None:
        """Return where the value at a dotted path was written (of an item: where its list was), or None."""
        place = place_at(self._data, path)
        return origin_of(place) if place else None

    @property
    def pretty_text(self) -> str:
        """Return Python text that loads back to the same value, with all bases merged in."""
        return to_python(self._data)

    def dump(self, file: str | os.PathLike[str] | None = None) -> str | None:
        """Write the config by the suffix of `file`, whole or not at all; without `file` return the text.

        The text is in the format that the config was read from, else Python. Raises ConfigError[config-format] for what
        the format cannot carry, and writes nothing.
        """
        if file is None:
            return text_in(self._data, Path(self.filename or "config.py").suffix)
        write_text(Path(file), text_in(self._data, Path(file).suffix), mode=0o666)
        return None


def _rebuild(values: dict[str, Any], filename: str | None, created: tuple[str, ...]) -> Config:
    made = Config(values, filename=filename)
    made.created = created
    return made

"""Files of plain data, wherever they lie: JSON, YAML and lists of lines, in MMEngine's names and arguments.

Pickles are never read: they could run code.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from mimctl.engine.files import fileio
from mimctl.engine.files.fileio import BackendArgs, PathLike
from mimctl.errors import ConfigError, MimctlError, UnsafeFileError

_FORMATS = {"json": "json", "yml": "yaml", "yaml": "yaml", "pkl": "pickle", "pickle": "pickle"}


def load(
    file: PathLike | IO[Any],
    file_format: str | None = None,
    file_client_args: BackendArgs = None,
    backend_args: BackendArgs = None,
) -> Any:
    """Return the data of a JSON or YAML file (or open stream), in `file_format` or chosen by its suffix.

    Without a known suffix it is read as JSON. Raises MimctlError[missing-file], MimctlError[bad-annotations] with the
    line, and UnsafeFileError for a pickle.
    """
    name = getattr(file, "name", "a stream") if hasattr(file, "read") else str(file)
    kind = _format(name, file_format) or "json"
    if kind == "pickle":
        raise UnsafeFileError(
            f"{name} is a pickle, which could run code when it is read",
            code="unsafe-annotations",
            hints=["write the annotations as JSON"],
        )
    content: Any = file.read() if hasattr(file, "read") else fileio.get(file, backend_args or file_client_args)
    return _parse(content, kind, name)


def dump(
    obj: Any,
    file: PathLike | IO[Any] | None = None,
    file_format: str | None = None,
    file_client_args: BackendArgs = None,
    backend_args: BackendArgs = None,
    **kwargs: Any,
) -> str | None:
    """Write plain data as JSON or YAML, in `file_format` or by the suffix; without `file` return the text.

    Numpy arrays and numbers, ranges and sets become lists and numbers. `kwargs` go to `json.dumps` or `yaml.dump`.
    Raises ConfigError[bad-argument] for another format: pickles are not written either.
    """
    name = getattr(file, "name", "") if hasattr(file, "write") else str(file or "")
    kind = _format(name, file_format) or "json"
    if kind == "pickle":
        raise ConfigError(
            "data is written as JSON or YAML, not as a pickle", code="bad-argument", hints=["name a .json file"]
        )
    text = _to_text(obj, kind, kwargs)
    if file is None:
        return text
    if hasattr(file, "write"):
        file.write(text)
    else:
        fileio.put_text(text, file, backend_args or file_client_args)
    return None


def list_from_file(
    filename: PathLike,
    prefix: str = "",
    offset: int = 0,
    max_num: int = 0,
    encoding: str = "utf-8",
    file_client_args: BackendArgs = None,
    backend_args: BackendArgs = None,
) -> list[str]:
    """Return the lines of a text file behind the first `offset`, at most `max_num` (0: all), each after `prefix`."""
    lines = fileio.get_text(filename, encoding, backend_args or file_client_args).split("\n")
    if lines and lines[-1] == "":
        lines.pop()
    wanted = lines[offset : offset + max_num] if max_num > 0 else lines[offset:]
    return [prefix + each.rstrip("\r") for each in wanted]


def dict_from_file(
    filename: PathLike,
    key_type: type = str,
    encoding: str = "utf-8",
    file_client_args: BackendArgs = None,
    backend_args: BackendArgs = None,
) -> dict[Any, str | list[str]]:
    """Return first word → the other words of each line (one word: a text, several: a list).

    Raises MimctlError[bad-annotations] for a line of a single word.
    """
    found: dict[Any, str | list[str]] = {}
    for number, line in enumerate(
        fileio.get_text(filename, encoding, backend_args or file_client_args).splitlines(), 1
    ):
        words = line.rstrip("\r").split(" ")
        if len(words) < 2:
            raise MimctlError(f"{filename}:{number} needs two words or more, got {line!r}", code="bad-annotations")
        found[key_type(words[0])] = words[1] if len(words) == 2 else words[1:]
    return found


def bad_annotations(place: str, what: str, *causes: str, hints: list[str] | tuple[str, ...] = ()) -> MimctlError:
    """Return the error for annotations that cannot be used, naming the place (file, line) and what is wrong."""
    return MimctlError(f"{place}: {what}", code="bad-annotations", causes=causes, hints=hints)


def _format(name: str, given: str | None) -> str | None:
    if given is not None:
        if given.lower().lstrip(".") not in _FORMATS:
            raise ConfigError(
                f"`{given}` is no format of data", code="bad-argument", causes=["formats are json and yaml"]
            )
        return _FORMATS[given.lower().lstrip(".")]
    return _FORMATS.get(Path(name).suffix.lower().lstrip("."))


def _parse(content: bytes | str, kind: str, name: str) -> Any:
    if kind == "yaml":
        import yaml

        try:
            return yaml.safe_load(content)
        except (yaml.YAMLError, UnicodeDecodeError) as err:
            raise _malformed(name, "YAML", str(err)) from err
    try:
        return json.loads(content)
    except (json.JSONDecodeError, UnicodeDecodeError) as err:
        raise _malformed(name, "JSON", str(err)) from err


def _to_text(obj: Any, kind: str, options: Mapping[str, Any]) -> str:
    if kind == "yaml":
        import yaml

        return str(yaml.safe_dump(json.loads(json.dumps(obj, default=_plain)), **options))
    return json.dumps(obj, **{"default": _plain, **options})


def _plain(value: Any) -> Any:
    if isinstance(value, set | range):
        return list(value)
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} is no plain data")


def _malformed(name: str, kind: str, cause: str) -> MimctlError:
    return MimctlError(f"{name} is not valid {kind}", code="bad-annotations", causes=cause.splitlines())

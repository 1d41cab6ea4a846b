"""Text that environment variables had a part in: known by evaluating a config twice, and shown as what was written.

A config is evaluated with its variables, and once more with `{{$NAME:default}}` in place of what they hold. Texts that
differ between the two depend on a variable, whichever way they were made. They are marked: marked text stands in
dumps, prints and specifications as it was written, and no address may hold any of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, cast

from mimctl.config.language.templates import Templates
from mimctl.config.values import ConfigDict
from mimctl.errors import ConfigError, Origin

_ABSENT: Any = object()
_SHORT = 4
_ENCODED = "$environment"
_CREDENTIALS = frozenset({"backend_args", "file_client_args"})
_ADDRESS = re.compile(r"(?!file:)[A-Za-z][A-Za-z0-9+.-]*://", re.IGNORECASE)


class FromEnvironment(str):
    """Text that an environment variable had a part in; `written` is the text that fills to it, where there is one."""

    __slots__ = ("written",)
    written: str | None

    def __new__(cls, value: str, written: str | None) -> FromEnvironment:
        made = super().__new__(cls, value)
        made.written = written
        return made

    @property
    def shown(self) -> str:
        """The text as people may see it."""
        return self.written if self.written is not None else "<from the environment>"

    def __repr__(self) -> str:
        return repr(self.shown)

    def __reduce__(self) -> tuple[Any, ...]:
        return (FromEnvironment, (str(self), self.written))


def mark(actual: ConfigDict, written: ConfigDict | None, held: Mapping[str, str]) -> ConfigDict:
    """Return `actual` with every text marked that depends on a variable.

    `written` is the same config evaluated with the variables' names in place of what they hold; None where that was
    not possible: then what holds a variable's text is marked, and every address. `held` is name → text.
    """
    if written is None:
        return cast("ConfigDict", _mark_holders(actual, tuple(held.values())))
    return cast("ConfigDict", _mark(actual, written))


def _mark(actual: Any, written: Any) -> Any:
    kind = type(actual)
    if kind is str:
        if type(written) is str and written == actual:
            return actual
        return FromEnvironment(actual, written if isinstance(written, str) and _fills_to(written, actual) else None)
    if kind is ConfigDict:
        other = written if isinstance(written, dict) else {}
        items = [(key if key in other else _mark(key, _ABSENT), key) for key in actual]
        inner = [(shown, _mark(actual[key], other.get(key, _ABSENT))) for shown, key in items]
        places = actual._places
        dict.clear(actual)
        dict.update(actual, inner)
        actual.mark(places)
        return actual
    if kind is list or kind is tuple:
        is_alike = type(written) is kind and len(written) == len(actual)
        others = written if is_alike else [_ABSENT] * len(actual)
        return kind([_mark(item, other) for item, other in zip(actual, others, strict=True)])
    if kind is set:
        known = written if isinstance(written, set) else ()
        return {item if item in known else _mark(item, _ABSENT) for item in actual}
    return actual


def _mark_holders(value: Any, secrets: tuple[str, ...]) -> Any:
    kind = type(value)
    if kind is str:
        if any(secret == value or (len(secret) >= _SHORT and secret in value) for secret in secrets):
            return FromEnvironment(value, None)
        return FromEnvironment(value, value) if is_address(value) else value
    if kind is ConfigDict:
        for key, item in value.items():
            dict.__setitem__(value, key, _mark_holders(item, secrets))
        return value
    if kind in (list, tuple, set):
        return kind([_mark_holders(item, secrets) for item in value])
    return value


def _fills_to(written: str, actual: str) -> bool:
    try:
        return bool(Templates("", _no_base).fill(written) == actual)
    except KeyError:
        return False


def _no_base(dotted: str) -> Any:
    raise KeyError(dotted)


def conceal(value: Any) -> Any:
    """Return a value with marked text as it was written."""
    if isinstance(value, dict):
        return {conceal(key): conceal(item) for key, item in value.items()}
    if type(value) in (list, tuple, set):
        return type(value)([conceal(item) for item in value])
    return value.shown if isinstance(value, FromEnvironment) else value


def encode(value: Any) -> Any:
    """Return a value for a specification: marked text as `{"$environment": "{{$NAME:default}}"}`, see `decode`.

    Raises ConfigError[environment-value] where it cannot be written.
    """
    require_written(value)
    return _encode(value)


def _encode(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _encode(item) for key, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)([_encode(item) for item in value])
    return {_ENCODED: value.shown} if isinstance(value, FromEnvironment) else value


def decode(value: Any) -> Any:
    """Return what `encode` was given, with what the variables hold here."""
    if isinstance(value, dict):
        if list(value) == [_ENCODED] and isinstance(value[_ENCODED], str):
            return FromEnvironment(str(Templates("", _no_base).fill(value[_ENCODED])), value[_ENCODED])
        return {key: decode(item) for key, item in value.items()}
    return type(value)([decode(item) for item in value]) if type(value) in (list, tuple) else value


def conceal_in(errors: list[ConfigError], config: Mapping[str, Any]) -> list[ConfigError]:
    """Return the errors with marked text of the config as it was written."""
    marked = {str(text): text.shown for _, text in _texts(config) if isinstance(text, FromEnvironment)}
    longest_first = sorted((text for text in marked if len(text) >= _SHORT), key=len, reverse=True)
    for error in errors if longest_first else ():
        for text in longest_first:
            error.message = error.message.replace(text, marked[text])
            error.causes = tuple(each.replace(text, marked[text]) for each in error.causes)
            error.hints = tuple(each.replace(text, marked[text]) for each in error.hints)
        error.args = (error.message,)
    return errors


def require_written(value: Any) -> None:
    """Raise ConfigError[environment-value] where a text depends on the environment in a way that cannot be written."""
    for path, text in _texts(value):
        if isinstance(text, FromEnvironment) and text.written is None:
            raise ConfigError(
                f"`{path}` depends on the environment in a way that cannot be written into a config",
                code="environment-value",
                causes=["what a variable holds is in no file that mimctl writes"],
                hints=["use the variable as text, `'{{$NAME:default}}'`, alone or as a part of one"],
            )


def is_address(value: object) -> bool:
    """Say whether text names something on a network."""
    return isinstance(value, str) and _ADDRESS.match(value) is not None


def address_errors(config: Mapping[str, Any]) -> list[ConfigError]:
    """Return an error for every address that a request could carry environment text to.

    That is an address that depends on a variable itself, and environment text beside an address in the same entry of
    the config: paths are put together by what reads them. Credentials of a storage (`backend_args`) are no path.
    """
    errors = []
    for key, entry in config.items():
        texts = list(_texts(entry, str(key)))
        marked = [(path, text) for path, text in texts if isinstance(text, FromEnvironment)]
        guilty = [path for path, text in marked if is_address(text)]
        has_address = any(is_address(text) for _, text in texts if not isinstance(text, FromEnvironment))
        if has_address and key not in ("model", "load_from"):
            guilty += [path for path, _ in marked if not _CREDENTIALS & set(path.split("."))]
        errors += [_refusal(path, _origin(config, path)) for path in dict.fromkeys(guilty)]
    return errors


def _refusal(path: str, origin: Origin | None) -> ConfigError:
    return ConfigError(
        f"`{path}` would send what an environment variable holds to a server",
        code="environment-address",
        causes=["an address that a config names may not depend on the environment: secrets live there"],
        hints=[f"write the address out, or type it yourself: `--cfg-options {path}=…`"],
        origin=origin,
    )


def _origin(config: Mapping[str, Any], path: str) -> Origin | None:
    find = getattr(config, "origin", None)
    return find(path) if callable(find) else None


def _texts(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            if isinstance(key, FromEnvironment) or is_address(key):
                yield f"{path}.{key!r}", key
            yield from _texts(item, f"{path}.{key!s}" if path else str(key))
    elif isinstance(value, (list, tuple, set)):
        for index, item in enumerate(value):
            yield from _texts(item, f"{path}.{index}" if path else str(index))


__all__ = [
    "FromEnvironment",
    "address_errors",
    "conceal",
    "conceal_in",
    "decode",
    "encode",
    "is_address",
    "mark",
    "require_written",
]

"""Stand-ins for the foreign objects inside OpenMMLab's checkpoints: they hold data and do nothing.

MMEngine's checkpoints carry histories of scalars, numpy numbers and arrays, and parts of configs. torch builds the
stand-ins below in their place; `settled` turns them into plain data afterwards: a history into
`{"values": [...], "counts": [...]}`, an array into a numpy array, a part of a config into a dict. What is left of other
foreign objects is an `Inert` whose class bears their name.
"""

from __future__ import annotations

import math
import re
import struct
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any

from mimctl.engine.checkpoints.untrusted.pickles import MalformedError

Global = Callable[..., Any] | tuple[Callable[..., Any], str]

HISTORY = "mmengine.logging.history_buffer.HistoryBuffer"
MOST_DEPTH = 100
MOST_PARTS = 50_000_000
_SCALARS = {"f2": "e", "f4": "f", "f8": "d", "i1": "b", "i2": "h", "i4": "i", "i8": "q",
            "u1": "B", "u2": "H", "u4": "I", "u8": "Q", "b1": "?"}  # fmt: skip
_FOREIGN = re.compile(r"(mm[a-z0-9_]+|addict)\.(.*\.)?(?P<last>\w+)")
_DICTS = ("ConfigDict", "Config", "Dict")
_NUMPY = re.compile(r"numpy\.(_?core\.multiarray\.(_reconstruct|scalar)|ndarray|dtype|dtypes\.\w+)")


class Inert:
    """An object of a class that is not known here: its state is kept, nothing is called."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.state: Any = args

    def __setstate__(self, state: Any) -> None:
        self.state = state


class InertDict:
    """A foreign subclass of dict (a config, for one), read as a dict."""

    def __new__(cls, *args: Any) -> Any:
        """Return a dict of torch's choice: it sets no items of others."""
        return OrderedDict(args[0] if args and isinstance(args[0], dict) else ())


class Dtype:
    """The name of a numpy dtype, without numpy."""

    def __init__(self, name: Any = "", *_: Any) -> None:
        self.name = name if isinstance(name, str) else ""
        self.order = "<"

    def __setstate__(self, state: Any) -> None:
        if isinstance(state, tuple) and len(state) > 1 and state[1] == ">":
            self.order = ">"

    @property
    def code(self) -> str | None:
        """Return the letter that `struct` has for it, None where it is no plain number."""
        return _SCALARS.get(self.name.lstrip("<=|>"))


class Array:
    """A numpy array that is not built yet."""

    state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def value(self) -> Any:
        """Return the array; None for one of anything but numbers. Raise MalformedError where its size is a lie."""
        import numpy as np

        if not (isinstance(self.state, tuple) and len(self.state) == 5):
            return None
        _, shape, dtype, is_fortran, raw = self.state
        if not isinstance(dtype, Dtype) or dtype.code is None or not isinstance(raw, (bytes, bytearray)):
            return None
        kind = np.dtype(dtype.order + dtype.name.lstrip("<=|>"))
        sizes = shape if isinstance(shape, tuple) and all(type(each) is int and each >= 0 for each in shape) else (-1,)
        if len(sizes) > 32 or math.prod(sizes) * kind.itemsize != len(raw):
            raise MalformedError(f"it holds an array of {shape} that has {len(raw)} bytes")
        return np.frombuffer(raw, kind).reshape(sizes, order="F" if is_fortran else "C").astype(kind.newbyteorder("="))


def array(*_: Any) -> Array:
    """Stand in for numpy's `_reconstruct`."""
    return Array()


def scalar(dtype: Any, raw: Any = b"") -> float | int | bool | None:
    """Return the number that numpy's `scalar` would hold, None for anything but a number."""
    code = dtype.code if isinstance(dtype, Dtype) else None
    body = raw.encode("latin1") if isinstance(raw, str) else raw
    if code is None or not isinstance(body, bytes) or len(body) != struct.calcsize(code):
        return None
    value: float | int | bool = struct.unpack(dtype.order + code, body)[0]
    return value


def attribute(*_: Any) -> None:
    """Stand in for `getattr`, by which a history names its own statistics."""


def no_bytes(*_: Any) -> bytes:
    """Stand in for `bytes`, by which old pickles spell an empty one."""
    return b""


def stand_in_for(name: str) -> Callable[..., Any] | None:
    """Return what torch builds instead of a foreign global, None for one that has no stand-in."""
    if _NUMPY.fullmatch(name):
        kinds: dict[str, Callable[..., Any]] = {"_reconstruct": array, "scalar": scalar, "ndarray": Array}
        return kinds.get(name.rpartition(".")[2], Dtype)
    if name in _BUILTINS:
        return _BUILTINS[name]
    if found := _FOREIGN.fullmatch(name):
        # A class name starts with a capital; a function of those packages is never called, not even by name.
        last = found["last"]
        if last in _DICTS:
            return InertDict
        return type(last, (Inert,), {"__module__": name.removesuffix(f".{last}")}) if last[:1].isupper() else None
    return None


_BUILTINS: dict[str, Callable[..., Any]] = {"builtins.getattr": attribute, "builtins.bytes": no_bytes}


def makes_dict(name: str) -> bool:
    """Return whether the stand-in for a foreign global is a dict."""
    found = _FOREIGN.fullmatch(name)
    return found is not None and found["last"] in _DICTS


def stand_ins(names: Iterable[str]) -> list[Global]:
    """Return the stand-ins that a file needs, as `torch.serialization.safe_globals` takes them."""
    found = ((stand_in_for(name), name) for name in names)
    return [(stand_in, name) for stand_in, name in found if stand_in is not None]


def numpy_globals() -> list[Global]:
    """Return the real constructors of plain numpy arrays and scalars, for data that this program wrote itself."""
    import _codecs

    import numpy as np
    from numpy._core import multiarray

    kinds: list[Global] = [np.ndarray, np.dtype, multiarray._reconstruct, multiarray.scalar]
    codes = ("f2", "f4", "f8", "c8", "c16", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "?", "U1", "S1")
    kinds += [type(np.dtype(code)) for code in codes]
    # What an array is made of is encoded; an empty one is `bytes()`.
    return [*kinds, bytes, (_codecs.encode, "_codecs.encode")]


def settled(content: Any) -> Any:
    """Return what was loaded with its stand-ins turned into plain data.

    Raises MalformedError for what nobody could walk through: data deeper than 100 levels, inside itself, or so often
    shared that it unfolds to more than 50 million parts.
    """
    walk = _Walk()
    value, parts = walk.settle(content, 0)
    if parts > MOST_PARTS:
        raise MalformedError(f"its data unfolds to {parts:,} parts")
    return value


class _Walk:
    def __init__(self) -> None:
        self.done: dict[int, tuple[Any, Any, int]] = {}
        self.open: set[int] = set()

    def settle(self, value: Any, depth: int) -> tuple[Any, int]:
        if not isinstance(value, (dict, list, tuple, Inert, Array)):
            return value, 1
        if id(value) in self.done:
            return self.done[id(value)][1:]
        if id(value) in self.open:
            raise MalformedError("its data holds itself")
        if depth > MOST_DEPTH:
            raise MalformedError(f"its data is nested more than {MOST_DEPTH} levels deep")
        self.open.add(id(value))
        result, parts = self._inside(value, depth + 1)
        self.open.discard(id(value))
        # The value itself is kept, or another object could get its id.
        self.done[id(value)] = (value, result, parts)
        return result, parts

    def _inside(self, value: Any, depth: int) -> tuple[Any, int]:
        if isinstance(value, Array):
            return value.value(), 1
        if isinstance(value, Inert):
            value.state, parts = self.settle(value.state, depth)
            return _history(value), parts + 1
        items = list(value.items()) if isinstance(value, dict) else list(enumerate(value))
        settled_items = [(key, each, *self.settle(each, depth)) for key, each in items]
        parts = 1 + sum(count for *_, count in settled_items)
        changed = [(key, new) for key, old, new, _ in settled_items if new is not old]
        if isinstance(value, tuple):
            return (tuple(new for _, _, new, _ in settled_items) if changed else value), parts
        for key, new in changed:
            value[key] = new
        return value, parts


def _history(value: Inert) -> Any:
    kind, state = type(value), value.state
    if f"{kind.__module__}.{kind.__qualname__}" != HISTORY or not isinstance(state, dict):
        return value
    parts: dict[str, Any] = {"values": state.get("_log_history"), "counts": state.get("_count_history")}
    return {name: part.tolist() if hasattr(part, "tolist") else [] for name, part in parts.items()}

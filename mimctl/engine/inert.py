"""Stand-ins for the foreign objects inside OpenMMLab's checkpoints: they hold data and do nothing.

`torch.load(weights_only=True)` refuses every global that it does not know. Published checkpoints carry a few that
are of no use for loading weights (histories of scalars, numpy scalars): those are read as the inert objects below.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

_SCALARS = {"f2": "e", "f4": "f", "f8": "d", "i1": "b", "i2": "h", "i4": "i", "i8": "q",
            "u1": "B", "u2": "H", "u4": "I", "u8": "Q", "b1": "?"}  # fmt: skip
_INERT_ROOTS = ("mmengine.", "mmcv.", "mmdet.", "mmcls.", "mmpretrain.", "mmseg.", "mmpose.", "mmocr.", "addict.")
_NUMPY = {
    "numpy.core.multiarray._reconstruct",
    "numpy._core.multiarray._reconstruct",
    "numpy.core.multiarray.scalar",
    "numpy._core.multiarray.scalar",
    "numpy.ndarray",
    "numpy.dtype",
}

Global = Callable[..., Any] | tuple[Callable[..., Any], str]


class Inert:
    """An object of a class that is not known here: its state is kept, nothing is called."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.state: Any = args

    def __setstate__(self, state: Any) -> None:
        self.state = state


class InertDict(dict[Any, Any]):
    """A foreign subclass of dict (a config, for one), read as a dict."""

    def __setstate__(self, state: Any) -> None:
        """Ignore attributes."""


class _Dtype:
    """The name of a numpy dtype, without numpy."""

    def __init__(self, name: str = "", *_: Any) -> None:
        self.name = name

    def __setstate__(self, state: Any) -> None:
        """Ignore byte order and fields."""


class _Array:
    """A numpy array whose content is not needed."""

    def __setstate__(self, state: Any) -> None:
        """Drop the content."""


def _array(*_: Any) -> _Array:
    return _Array()


def _scalar(dtype: Any, raw: Any = b"") -> float | int | bool | None:
    code = _SCALARS.get(getattr(dtype, "name", "").lstrip("<=|>"))
    body = raw.encode("latin1") if isinstance(raw, str) else raw
    if code is None or not isinstance(body, bytes) or len(body) != struct.calcsize(code):
        return None
    value: float | int | bool = struct.unpack("<" + code, body)[0]
    return value


def _encode(text: Any, encoding: Any = "latin1") -> Any:
    # Old pickles spell bytes as `_codecs.encode(text, 'latin1')`.
    return text.encode("latin1") if isinstance(text, str) else text


def inert_globals(path: Path) -> list[Global]:
    """Return the stand-ins that this file needs, as `torch.serialization.safe_globals` takes them."""
    stand_ins: list[Global] = []
    for name in _named_globals(path):
        stand_in = _stand_in(name)
        if stand_in is not None:
            stand_ins.append((stand_in, name))
    return stand_ins


def numpy_globals() -> list[Global]:
    """Return the real constructors of plain numpy arrays and scalars, for data that this program wrote itself."""
    import numpy as np
    from numpy._core import multiarray

    kinds: list[Global] = [np.ndarray, np.dtype, multiarray._reconstruct, multiarray.scalar, _real_encode()]
    kinds += [type(np.dtype(code)) for code in ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "?")]
    return kinds


def _real_encode() -> Global:
    import _codecs

    return (_codecs.encode, "_codecs.encode")


def _stand_in(name: str) -> Callable[..., Any] | None:
    if name in _NUMPY:
        tail = name.rpartition(".")[2]
        kinds: dict[str, Callable[..., Any]] = {
            "_reconstruct": _array, "scalar": _scalar, "ndarray": _Array, "dtype": _Dtype}  # fmt: skip
        return kinds[tail]
    if name.startswith("numpy.dtypes."):
        return _Dtype
    if name == "_codecs.encode":
        return _encode
    if name.startswith(_INERT_ROOTS):
        # A class name starts with a capital; a function of those packages is never called, not even by name.
        last = name.rpartition(".")[2]
        if last in ("ConfigDict", "Config", "Dict"):
            return InertDict
        return Inert if last[:1].isupper() else None
    return None


def _named_globals(path: Path) -> list[str]:
    """Return the globals that the file's pickle names and torch does not allow by itself; [] if unreadable."""
    try:
        names: list[str] = torch.serialization.get_unsafe_globals_in_checkpoint(str(path))
    except Exception:  # a damaged or old-format file: torch.load says what is wrong with it
        return _legacy_globals(path)
    return names


def _legacy_globals(path: Path) -> list[str]:
    # The format before torch 1.6 has several pickles in a row and cannot be scanned; allow what published files have.
    candidates = ["mmengine.logging.history_buffer.HistoryBuffer", "_codecs.encode", *sorted(_NUMPY)]
    with path.open("rb") as stream:
        head = stream.read(2)
    return [] if head == b"PK" else candidates

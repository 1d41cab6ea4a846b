"""Checkpoints as MMEngine 0.10.7 writes them, and as people write them who mean harm: made by hand, byte by byte."""

from __future__ import annotations

import contextlib
import io
import pickle
import struct
import sys
import types
import zipfile
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

_HISTORY = """
class HistoryBuffer:
    methods = {}
    def __init__(self, values, counts, max_length=1000000):
        self.max_length, self._log_history, self._count_history = max_length, values, counts
        self.methods.update(min=HistoryBuffer.min, max=HistoryBuffer.max, mean=HistoryBuffer.mean)
    def __getstate__(self):
        return {**self.__dict__, "statistics_methods": self.methods}
    def min(self): raise AssertionError("called")
    def max(self): raise AssertionError("called")
    def mean(self): raise AssertionError("called")
"""
_CONFIG = """
class ConfigDict(dict):
    def __reduce_ex__(self, protocol):
        return (ConfigDict, (dict(self),), None, None, None)
"""
_SOURCES = {"mmengine.logging.history_buffer": _HISTORY, "mmengine.config.config": _CONFIG}


@contextlib.contextmanager
def openmmlab() -> Iterator[dict[str, Any]]:
    """Give classes under the names of OpenMMLab's while a file is written; none can be imported when it is read."""
    names = ["mmengine", "mmengine.logging", "mmengine.config", *_SOURCES]
    modules = {name: types.ModuleType(name) for name in names}
    for name, source in _SOURCES.items():
        exec(source, modules[name].__dict__)
    sys.modules.update(modules)
    try:
        yield {
            "HistoryBuffer": modules["mmengine.logging.history_buffer"].HistoryBuffer,
            "ConfigDict": modules["mmengine.config.config"].ConfigDict,
        }
    finally:
        for name in names:
            del sys.modules[name]


def write_openmmlab(path: Path, *, epoch: int, iteration: int, zipped: bool = True, **parts: Any) -> Path:
    """Write a checkpoint with the keys and objects of MMEngine's Runner; `parts` are its further top-level keys."""
    with openmmlab() as foreign:
        history = foreign["HistoryBuffer"](np.arange(4) / 8, np.ones(4, dtype=np.int64))
        content = {
            "meta": {
                "epoch": epoch,
                "iter": iteration,
                "cfg": "a = 1\n",
                "seed": 3,
                "experiment_name": "toy",
                "time": "20260101_000000",
                "mmengine_version": "0.10.7",
                "dataset_meta": {"classes": ("a", "b"), "palette": [(1, 2, 3)], "sizes": np.array([[1, 2], [3, 4]])},
                "part": foreign["ConfigDict"](deep=foreign["ConfigDict"](best=np.float64(0.446))),
            },
            "message_hub": {
                "log_scalars": OrderedDict([("train/loss", history)]),
                "runtime_info": OrderedDict(
                    epoch=epoch - 1, eta=np.float64(0.5), count=np.int64(7), keep_ckpt_ids=[epoch]
                ),
                "resumed_keys": OrderedDict(epoch=True),
            },
            **parts,
        }
        torch.save(content, path, _use_new_zipfile_serialization=zipped)
    return path


# Pickles by hand, protocol 2


def text(value: str) -> bytes:
    """Push a text."""
    raw = value.encode()
    return pickle.BINUNICODE + struct.pack("<I", len(raw)) + raw


def named(name: str) -> bytes:
    """Push a global."""
    module, _, last = name.rpartition(".")
    return pickle.GLOBAL + f"{module}\n{last}\n".encode()


def pushed(value: Any) -> bytes:
    """Push plain data; bytes are taken as instructions."""
    if isinstance(value, bytes):
        return value
    if isinstance(value, tuple):
        return pickle.MARK + b"".join(map(pushed, value)) + pickle.TUPLE
    return pickle.dumps(value, protocol=2)[2:-1]


def call(name: str, *arguments: Any) -> bytes:
    """Push what calling a global gives."""
    return named(name) + pushed(arguments) + pickle.REDUCE


def storage(numel: int = 4, key: str = "0", kind: str = "torch.FloatStorage") -> bytes:
    """Push a storage."""
    return pushed(("storage", named(kind), key, "cpu", numel)) + pickle.BINPERSID


def tensor(size: Any = (4,), stride: Any = (1,), offset: int = 0, **options: Any) -> bytes:
    """Push a tensor over a storage."""
    given = (storage(**options), offset, size, stride, False, call("collections.OrderedDict"))
    return call("torch._utils._rebuild_tensor_v2", *given)


def body(extra: bytes, weights: bytes = b"") -> bytes:
    """Return the pickle of a checkpoint with one weight and, as its meta, what `extra` pushes."""
    weight = weights or tensor()
    return (
        pickle.PROTO + b"\x02" + pickle.EMPTY_DICT
        + text("state_dict") + pickle.EMPTY_DICT + text("weight") + weight + pickle.SETITEM + pickle.SETITEM
        + text("meta") + extra + pickle.SETITEM + pickle.STOP
    )  # fmt: skip


def write_zip(path: Path, pickled: bytes, records: Mapping[str, bytes] | None = None, folder: str = "archive") -> Path:
    """Write a checkpoint in torch's format of today; `records` are added to the storage of one weight."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in {
            "data.pkl": pickled,
            "byteorder": b"little",
            "data/0": struct.pack("<4f", 0, 1, 2, 3),
            "version": b"3\n",
            **(records or {}),
        }.items():
            archive.writestr(f"{folder}/{name}", content)
    return path


def write_old(
    path: Path,
    pickled: bytes,
    *,
    system: bytes | None = None,
    keys: bytes | None = None,
    storages: bytes | None = None,
) -> Path:
    """Write a checkpoint in the format before torch 1.6: five pickles in a row and the storages."""
    stream = io.BytesIO()
    pickle.dump(0x1950A86A20F9469CFC6C, stream, protocol=2)
    pickle.dump(1001, stream, protocol=2)
    stream.write(system or pickle.dumps({"little_endian": True}, protocol=2))
    # In this format a storage is described with one more item: which part of it is meant.
    stream.write(pickled.replace(_last_item(), _last_item_of_old()))
    stream.write(keys or pickle.dumps(["0"], protocol=2))
    stream.write(struct.pack("<q4f", 4, 0, 1, 2, 3) if storages is None else storages)
    path.write_bytes(stream.getvalue())
    return path


def _last_item() -> bytes:
    return pickle.TUPLE + pickle.BINPERSID


def _last_item_of_old() -> bytes:
    return pickle.NONE + pickle.TUPLE + pickle.BINPERSID

"""The containers of checkpoints, looked into before torch reads them: zip archives, and the format before torch 1.6."""

from __future__ import annotations

import math
import mmap
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

import torch

from mimctl.engine.checkpoints.untrusted import stand_ins
from mimctl.engine.checkpoints.untrusted.pickles import (
    Made,
    MalformedError,
    Named,
    Pickle,
    Rules,
    Storage,
    follow,
    names_in,
)

MOST_PICKLE_BYTES = 1 << 30
_MAGIC = 0x1950A86A20F9469CFC6C
_ZIP = b"PK\x03\x04"
_SIZES = {
    "DoubleStorage": 8, "FloatStorage": 4, "HalfStorage": 2, "BFloat16Storage": 2, "LongStorage": 8, "IntStorage": 4,
    "ShortStorage": 2, "CharStorage": 1, "ByteStorage": 1, "BoolStorage": 1, "ComplexDoubleStorage": 16,
    "ComplexFloatStorage": 8, "QInt8Storage": 1, "QInt32Storage": 4, "QUInt8Storage": 1, "QUInt4x2Storage": 1,
    "QUInt2x4Storage": 1, "UntypedStorage": 1,
}  # fmt: skip
_TENSORS = {f"torch._utils.{name}" for name in ("_rebuild_tensor", "_rebuild_tensor_v2", "_rebuild_tensor_v3",
                                                "_rebuild_qtensor")}  # fmt: skip
_CALLED = {
    *_TENSORS, "torch._utils._rebuild_parameter", "torch._utils._rebuild_parameter_with_state",
    "torch._utils._rebuild_sparse_tensor", "torch._tensor._rebuild_from_type_v2", "torch.serialization._get_layout",
    "torch.Size", "torch.device", "collections.OrderedDict", "collections.Counter", "builtins.set", "builtins.complex",
    "builtins.bytearray", "_codecs.encode",
}  # fmt: skip
_ONLY_NAMED = {"torch.Tensor", "torch.nn.parameter.Parameter"}
_SMALL = 1 << 24


class RefusedError(Exception):
    """The file names globals that no checkpoint needs."""

    def __init__(self, names: list[str]) -> None:
        super().__init__(", ".join(names))
        self.names = names


def look_into(path: Path) -> list[str]:
    """Return the globals that a checkpoint names, all of them harmless.

    Raises RefusedError with the names of those that are not, MalformedError for a file that torch could not read or
    that lies about its sizes. Nothing is built, and memory is bounded by the length of the file's pickles.
    """
    with path.open("rb") as stream:
        is_zip = stream.read(4) == _ZIP
    return _look_into_zip(path) if is_zip else _look_into_old(path)


class CheckpointRules(Rules):
    """What the pickles of checkpoints name and call."""

    def may_name(self, name: str) -> bool:
        if name in _CALLED or name in _ONLY_NAMED or stand_ins.stand_in_for(name) is not None:
            return True
        module, _, last = name.rpartition(".")
        if module in ("torch", "torch.storage") and last in _SIZES:
            return True
        kind = getattr(torch, last, None) if module == "torch" else None
        return isinstance(kind, (torch.dtype, torch.qscheme))

    def is_dict(self, name: str) -> bool:
        return super().is_dict(name) or stand_ins.makes_dict(name)

    def takes_state(self, name: str, state: Any) -> bool:
        if name == "collections.OrderedDict":
            return isinstance(state, Made) and self.is_dict(state.name)
        return stand_ins.stand_in_for(name) is not None

    def check_call(self, name: str, arguments: tuple[Any, ...]) -> None:
        if name in _TENSORS:
            _check_tensor(arguments)
        elif name == "torch._tensor._rebuild_from_type_v2":
            inner = arguments[0] if len(arguments) == 4 else None
            if not isinstance(inner, Named) or inner.name not in _CALLED or inner.name == name:
                raise MalformedError("it rebuilds a tensor with something else")
            self.check_call(inner.name, arguments[2])
        elif name == "builtins.getattr":
            owner = arguments[0] if len(arguments) == 2 else None
            if not isinstance(owner, Named) or owner.name != stand_ins.HISTORY:
                raise KeyError(name)
        elif name == "builtins.bytes":
            if arguments:
                raise MalformedError("it asks for bytes that it does not hold")
        elif name == "_codecs.encode":
            # Old pickles spell bytes like this; other codecs make much out of little.
            if len(arguments) != 2 or arguments[1] != "latin1" or isinstance(arguments[0], (bytes, Made)):
                raise MalformedError("it encodes something else than text as latin1")
        elif name == "builtins.bytearray":
            if any(isinstance(each, int) for each in arguments):
                raise MalformedError("it asks for bytes that it does not hold")
        elif name not in _CALLED and stand_ins.stand_in_for(name) is None:
            raise KeyError(name)


def _check_tensor(arguments: tuple[Any, ...]) -> None:
    """Raise MalformedError for a tensor that is larger than its storage."""
    storage, offset, size, stride, *_ = arguments
    numbers = (*size, *stride, offset)
    if not isinstance(storage, Storage) or len(size) != len(stride) or len(size) > 64:
        raise MalformedError("it describes a tensor that makes no sense")
    if not all(type(each) is int and each >= 0 for each in numbers):
        raise MalformedError(f"it describes a tensor of {list(size)} with strides {list(stride)}")
    itemsize, room = _SIZES[storage.kind.rpartition(".")[2]], storage.view[1] if storage.view else storage.numel
    if storage.kind.endswith("UntypedStorage"):
        kind = next((each.name for each in arguments if isinstance(each, Named)), "")
        dtype = getattr(torch, kind.removeprefix("torch."), None)
        itemsize = dtype.itemsize if isinstance(dtype, torch.dtype) else itemsize
        room //= itemsize
    is_empty = 0 in size
    needed = 0 if is_empty else offset + 1 + sum((each - 1) * step for each, step in zip(size, stride, strict=True))
    if needed > room:
        raise MalformedError(f"it describes a tensor of {list(size)} over a storage of {room} elements")
    if not is_empty and math.prod(size) > max(room, _SMALL):
        raise MalformedError(f"it repeats {room} elements to a tensor of {list(size)}")


def _look_into_zip(path: Path) -> list[str]:
    with path.open("rb") as stream:
        try:
            archive = zipfile.ZipFile(stream)
        except (zipfile.BadZipFile, NotImplementedError, ValueError, struct.error, OverflowError) as err:
            raise MalformedError(f"it is cut off or damaged: {err}") from err
        with archive:
            records = _records(archive, path.stat().st_size)
            if "constants.pkl" in records:
                raise MalformedError("it is a TorchScript program, not a checkpoint")
            if "data.pkl" not in records:
                raise MalformedError("it is a zip archive without a `data.pkl`")
            if records["data.pkl"].file_size > MOST_PICKLE_BYTES:
                raise MalformedError(f"its pickle has {records['data.pkl'].file_size:,} bytes")
            try:
                data = archive.read(records["data.pkl"])
            except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, struct.error) as err:
                raise MalformedError(f"it is cut off or damaged: {err}") from err
    found = _followed(data)
    if found.end != len(data):
        raise _refusal(data[found.end :]) or MalformedError(f"{len(data) - found.end} bytes follow its pickle")
    for storage in found.storages:
        record = records.get(f"data/{storage.key}")
        if record is None:
            raise MalformedError(f"it has no storage `{storage.key[:40]}`")
        if record.file_size != _num_bytes(storage):
            raise MalformedError(
                f"the storage `{storage.key[:40]}` has {record.file_size:,} bytes and claims {_num_bytes(storage):,}"
            )
    return found.names


def _records(archive: zipfile.ZipFile, size: int) -> dict[str, zipfile.ZipInfo]:
    """Return the records by their name below the archive's folder; raise MalformedError for tricks."""
    records: dict[str, zipfile.ZipInfo] = {}
    folders: set[str] = set()
    for record in archive.infolist():
        name = PurePosixPath(record.filename)
        if name.is_absolute() or ".." in name.parts or "\\" in record.filename or "\0" in record.orig_filename:
            raise MalformedError(f"it holds a file `{ascii(record.filename)[1:60]}` that leads out of it")
        folder, _, inner = record.filename.partition("/")
        if inner in records:
            raise MalformedError(f"it holds `{inner}` twice")
        if record.compress_type != zipfile.ZIP_STORED or record.file_size != record.compress_size:
            raise MalformedError(f"its `{ascii(inner)[1:60]}` is compressed, which checkpoints are not")
        records[inner] = record
        folders.add(folder)
    if len(folders) > 1:
        raise MalformedError("it holds several archives in one")
    if sum(record.file_size for record in records.values()) > size:
        raise MalformedError(f"its parts claim more than its {size:,} bytes")
    return records


def _look_into_old(path: Path) -> list[str]:
    """Follow the five pickles in a row that torch wrote before 1.6, and the storages behind them."""
    if path.stat().st_size == 0:
        raise MalformedError("it is empty")
    with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
        try:
            magic = follow(data, CheckpointRules())
        except MalformedError:
            raise _refusal(stream) or MalformedError("its first bytes are those of no checkpoint") from None
        if magic.value != _MAGIC:
            stream.seek(0)
            raise _refusal(stream) or MalformedError("it is a pickle of something else than a checkpoint")
        parts: list[Pickle] = [magic]
        for _ in range(4):
            parts.append(_followed(data, parts[-1].end))
        refused = [name for part in parts for name in part.refused]
        if refused:
            raise RefusedError(refused)
        _check_old_storages(data, parts[3].storages, parts[4])
        return list(dict.fromkeys(name for part in parts for name in part.names))


def _check_old_storages(data: Any, storages: list[Storage], keys: Pickle) -> None:
    by_key: dict[str, Storage] = {}
    for storage in storages:
        first = by_key.setdefault(storage.key, storage)
        if _num_bytes(first) != _num_bytes(storage):
            raise MalformedError(f"the storage `{storage.key[:40]}` has two sizes")
    if not isinstance(keys.value, list) or sorted(map(str, keys.value)) != sorted(by_key):
        raise MalformedError("its list of storages is not that of its tensors")
    at = keys.end
    for key in keys.value:
        expected = _num_bytes(by_key[key])
        if at + 8 + expected > len(data):
            raise MalformedError(f"it is cut off or damaged: the storage `{key[:40]}` claims {expected:,} bytes")
        (numel,) = struct.unpack("<q", data[at : at + 8])
        if numel != by_key[key].numel:
            raise MalformedError(f"the storage `{key[:40]}` has {numel} elements and claims {by_key[key].numel}")
        at += 8 + expected


def _followed(data: Any, start: int = 0) -> Pickle:
    try:
        found = follow(data, CheckpointRules(), start)
    except MalformedError as err:
        raise _refusal(bytes(data[start : start + MOST_PICKLE_BYTES])) or err from None
    if found.refused:
        raise RefusedError(found.refused)
    return found


def _refusal(pickle: bytes | BinaryIO) -> RefusedError | None:
    """Return a refusal by name where a pickle that cannot be followed names what no checkpoint needs."""
    rules = CheckpointRules()
    hostile = [name for name in names_in(pickle) if not rules.may_name(name)]
    return RefusedError(hostile) if hostile else None


def _num_bytes(storage: Storage) -> int:
    sizes: Mapping[str, int] = _SIZES
    size = sizes.get(storage.kind.rpartition(".")[2])
    if size is None:
        raise MalformedError(f"`{storage.kind[:60]}` is no kind of storage")
    return storage.numel * size

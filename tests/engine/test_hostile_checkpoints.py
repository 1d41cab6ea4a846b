"""Checkpoints made to harm: refused by the name that they would call, before torch sees them; nothing runs."""

from __future__ import annotations

import pickle
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from foreign_checkpoints import body, call, named, pushed, storage, tensor, text, write_old, write_zip

from mimctl.engine.checkpoints.checkpoint import read_checkpoint
from mimctl.errors import IntegrityError, UnsafeFileError, render

HERE = Path(__file__).parent
# What a payload would write if it ran, in the folder that the reader runs in.
RUN = "touch canary"
PYTHON = "open('canary', 'w').close()"


def instance(name: str, *arguments: Any) -> bytes:
    """Push a new object of a class (NEWOBJ)."""
    return named(name) + pushed(arguments) + pickle.NEWOBJ


NAMED: dict[str, tuple[bytes, str]] = {
    "os.system": (call("os.system", RUN), "os.system"),
    "posix.system": (call("posix.system", RUN), "posix.system"),
    "eval": (call("builtins.eval", PYTHON), "builtins.eval"),
    "exec in Python 2's spelling": (call("__builtin__.exec", PYTHON), "builtins.exec"),
    "__import__": (call("builtins.__import__", "canary"), "builtins.__import__"),
    "getattr": (call("builtins.getattr", named("torch.Tensor"), "__subclasses__"), "builtins.getattr"),
    "getattr of a history by another name": (
        call("builtins.getattr", named("mmengine.config.config.ConfigDict"), "__init__"), "builtins.getattr"),
    "bytes of a size": (call("builtins.bytearray", named("builtins.open")), "builtins.open"),
    "open": (call("io.open", "canary", "w"), "io.open"),
    "subprocess.Popen": (call("subprocess.Popen", ["touch", "canary"]), "subprocess.Popen"),
    "an object of Popen": (instance("subprocess.Popen", RUN), "subprocess.Popen"),
    "torch.load inside": (call("torch.load", "other.pth"), "torch.load"),
    "torch.storage._load_from_bytes": (call("torch.storage._load_from_bytes", "x"), "torch.storage._load_from_bytes"),
    "torch.hub.load": (call("torch.hub.load", "a/b", "c"), "torch.hub.load"),
    "torch.ops.load_library": (call("torch.ops.load_library", "evil.so"), "torch.ops.load_library"),
    "functools.partial": (call("functools.partial", named("posix.system"), RUN), "functools.partial"),
    "operator.attrgetter": (call("operator.attrgetter", "system"), "operator.attrgetter"),
    "operator.methodcaller": (call("operator.methodcaller", "unlink"), "operator.methodcaller"),
    "numpy.load": (call("numpy.load", "evil.npy"), "numpy.load"),
    "numpy.testing runs text": (
        call("numpy.testing._private.utils.runstring", PYTHON, b"}"), "numpy.testing._private.utils.runstring"),
    "runpy.run_path": (call("runpy.run_path", "evil.py"), "runpy.run_path"),
    "importlib.import_module": (call("importlib.import_module", "canary"), "importlib.import_module"),
    "pickle.loads": (call("pickle.loads", "cposix"), "pickle.loads"),
    "ctypes.CDLL": (call("ctypes.CDLL", "evil.so"), "ctypes.CDLL"),
    "shutil.rmtree": (call("shutil.rmtree", "."), "shutil.rmtree"),
    "copyreg": (call("copy_reg._reconstructor", named("collections.deque"), None, None), "copyreg._reconstructor"),
    "a function of a known package": (call("mmengine.fileio.load", "evil.pkl"), "mmengine.fileio.load"),
    "a metaclass": (call("builtins.type", "X", (), b"}"), "builtins.type"),
    "a tensor that is rebuilt by another function": (
        call("torch._tensor._rebuild_from_type_v2", named("os.system"), named("torch.Tensor"), (RUN,), b"}"),
        "os.system"),
    "a class called to reserve memory": (call("torch.Tensor", 10**6, 10**6), "torch.Tensor"),
    "a storage called to reserve memory": (
        call("torch.storage.UntypedStorage", 10**12), "torch.storage.UntypedStorage"),
    "INST of protocol 0": (pickle.MARK + b"S'touch canary'\n" + b"iposix\nsystem\n", "posix.system"),
    "STACK_GLOBAL of protocol 4": (
        pickle.dumps("posix", 4)[11:-2] + pickle.dumps("system", 4)[11:-2] + pickle.STACK_GLOBAL
        + text(RUN) + pickle.TUPLE1 + pickle.REDUCE, "posix.system"),
    "a name behind a broken instruction": (pickle.POP * 3 + call("os.system", RUN), "os.system"),
    "an extension code": (pickle.EXT1 + b"\x01" + call("os.system", RUN), "os.system"),
    "a name kept for later": (
        named("os.system") + pickle.BINPUT + b"\x09" + b"0N" + pickle.BINGET + b"\x09"
        + text(RUN) + pickle.TUPLE1 + pickle.REDUCE, "os.system"),
    "a control character in a name": (named("os.sys\x1b[2Jtem"), "os.sys\\x1b[2Jtem"),
}  # fmt: skip


@pytest.fixture(autouse=True)
def untouched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run in a folder where a payload would leave a file behind, and look for it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "evil.py").write_text(PYTHON)
    yield
    assert not (tmp_path / "canary").exists(), "something in the file ran"


@pytest.fixture
def torch_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail if torch is handed the file at all."""

    def refuse(*_: Any, **__: Any) -> Any:
        raise AssertionError("torch was handed the file")

    monkeypatch.setattr(torch, "load", refuse)


@pytest.mark.parametrize("write", [write_zip, write_old], ids=["zip", "old-format"])
@pytest.mark.parametrize(("extra", "name"), NAMED.values(), ids=NAMED.keys())
@pytest.mark.usefixtures("torch_is_not_asked")
def test_hostile_file_is_refused_by_the_name_it_would_call(
    tmp_path: Path, write: Callable[..., Path], extra: bytes, name: str
) -> None:
    path = write(tmp_path / "evil.pth", body(extra))
    with pytest.raises(UnsafeFileError) as caught:
        read_checkpoint(path)
    error = caught.value
    assert error.code == "unsafe-checkpoint"
    assert error.details["global"] == name
    assert str(path) in error.message
    assert name in error.message
    assert "\x1b" not in render(error)


@pytest.mark.parametrize(
    ("parts", "name"),
    [
        ({"system": b"\x80\x02" + call("os.system", RUN) + b"."}, "os.system"),
        ({"keys": b"\x80\x02" + call("builtins.eval", PYTHON) + b"."}, "builtins.eval"),
    ],
    ids=["the facts of the system", "the list of storages"],
)
@pytest.mark.usefixtures("torch_is_not_asked")
def test_each_pickle_of_an_old_file_is_looked_into(tmp_path: Path, parts: dict[str, bytes], name: str) -> None:
    with pytest.raises(UnsafeFileError) as caught:
        read_checkpoint(write_old(tmp_path / "evil.pth", body(b"}"), **parts))
    assert caught.value.details["global"] == name


@pytest.mark.usefixtures("torch_is_not_asked")
def test_pickle_behind_the_pickle_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnsafeFileError, match=r"os\.system"):
        read_checkpoint(write_zip(tmp_path / "a.pth", body(b"}") + b"\x80\x02" + call("os.system", RUN) + b"."))


def test_pickle_in_another_record_is_never_read(tmp_path: Path) -> None:
    evil = b"cos\nsystem\n(S'touch canary'\ntR."
    path = write_zip(tmp_path / "a.pth", body(b"}"), {".data/serialization_id": evil, "extra/data.pkl": evil})
    assert read_checkpoint(path)["meta"] == {}


@pytest.mark.usefixtures("torch_is_not_asked")
def test_plain_pickle_is_refused_by_name_too(tmp_path: Path) -> None:
    for protocol in range(6):
        (tmp_path / "a.pth").write_bytes(pickle.dumps({"state_dict": subprocess.Popen}, protocol))
        with pytest.raises(UnsafeFileError, match=r"subprocess\.Popen"):
            read_checkpoint(tmp_path / "a.pth")


def set_item(target: bytes) -> bytes:
    return target + text("k") + text("v") + pickle.SETITEM


BROKEN: dict[str, tuple[bytes, str]] = {
    "SETITEM on a list": (set_item(b"]"), "sets items of a list"),
    "SETITEM on a tensor": (set_item(tensor()), "sets items of a `torch._utils._rebuild_tensor_v2`"),
    "SETITEM on a storage": (set_item(storage()), "sets items of a storage"),
    "SETITEM on a class": (set_item(named("torch.Tensor")), "sets items of `torch.Tensor`"),
    "SETITEMS on bytes": (
        call("_codecs.encode", "abc", "latin1") + b"(" + pushed(0) + pushed(1) + pickle.SETITEMS, "sets items of a"),
    "a key without a value": (b"}(" + text("k") + pickle.SETITEMS, "a key without a value"),
    "APPEND to a dict": (b"}" + text("v") + pickle.APPEND, "appends to a `builtins.dict`"),
    "BUILD of a tensor": (tensor() + pushed((1, 2)) + pickle.BUILD, "gives a state to"),
    "BUILD of a size": (call("torch.Size", (1, 2)) + b"}" + pickle.BUILD, "gives a state to"),
    "a call of a text": (text("os") + pushed(()) + pickle.REDUCE, "calls a str"),
    "a call of what was made": (call("torch.device", "cpu") + pushed(()) + pickle.REDUCE, "calls a `torch.device`"),
    "a module for a storage": (pushed(("module", "a", "b", "c", 4)) + pickle.BINPERSID, "no storage"),
    "a storage larger than its record": (tensor((8,), numel=8), "has 16 bytes and claims 32"),
    "a storage smaller than its record": (tensor((1,), numel=1), "has 16 bytes and claims 4"),
    "a storage that is not there": (tensor(key="../../etc/passwd"), "has no storage"),
    "a storage of minus one": (tensor(numel=-1), "makes no sense"),
    "a tensor larger than its storage": (tensor((5,)), "a tensor of [5] over a storage of 4"),
    "a tensor behind its storage": (tensor((2,), offset=3), "over a storage of 4"),
    "a tensor with wide strides": (tensor((2, 2), (3, 1)), "over a storage of 4"),
    "a tensor with a negative stride": (tensor((2,), (-1,)), "with strides [-1]"),
    "a tensor that repeats one number for ever": (tensor((10**12,), (0,)), "repeats 4 elements"),
    "bytes out of nothing": (call("builtins.bytearray", 10**11), "asks for bytes"),
    "text that grows in a codec": (call("_codecs.encode", "ab", "hex"), "something else than text as latin1"),
    "an empty stack": (pickle.TUPLE3 * 4, "empty stack"),
    "a memory that holds nothing": (pickle.BINGET + b"\x63", "broken"),
    "a text longer than the file": (pickle.BINUNICODE + struct.pack("<I", 2**32 - 1), "cut off"),
    "a pickle of protocol 4": (pickle.BINUNICODE8 + struct.pack("<Q", 1) + b"a", "not read with weights only"),
}  # fmt: skip


@pytest.mark.parametrize("write", [write_zip, write_old], ids=["zip", "old-format"])
@pytest.mark.parametrize(("extra", "reason"), BROKEN.values(), ids=BROKEN.keys())
@pytest.mark.usefixtures("torch_is_not_asked")
def test_file_that_lies_is_refused_before_torch_sees_it(
    tmp_path: Path, write: Callable[..., Path], extra: bytes, reason: str
) -> None:
    with pytest.raises(IntegrityError) as caught:
        read_checkpoint(write(tmp_path / "a.pth", body(extra)))
    assert caught.value.code == "bad-checkpoint"
    is_of_records = write is write_old and ("record" in reason or "claims" in reason or reason == "has no storage")
    assert reason in caught.value.causes[0] or is_of_records


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        ({"storages": struct.pack("<q4f", 8, 0, 1, 2, 3)}, "has 8 elements and claims 4"),
        ({"storages": struct.pack("<q2f", 4, 0, 1)}, "cut off"),
        ({"keys": pickle.dumps([], protocol=2)}, "list of storages"),
        ({"keys": pickle.dumps(["0", "1"], protocol=2)}, "list of storages"),
        ({"keys": pickle.dumps(7, protocol=2)}, "list of storages"),
    ],
    ids=["another size", "cut off", "not listed: memory as it was", "listed twice", "no list"],
)
@pytest.mark.usefixtures("torch_is_not_asked")
def test_old_file_whose_storages_lie_is_refused(tmp_path: Path, parts: dict[str, bytes], reason: str) -> None:
    with pytest.raises(IntegrityError) as caught:
        read_checkpoint(write_old(tmp_path / "a.pth", body(b"}"), **parts))
    assert reason in caught.value.causes[0]


# Archives


def with_record(name: str, content: bytes = b"x", **options: Any) -> Callable[[Path], None]:
    def add(path: Path) -> None:
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr(name, content, **options)

    return add


def overlapping(path: Path) -> None:
    """Let many names of the directory stand for the same bytes."""
    with_record("archive/data/1", bytes(100_000))(path)
    with zipfile.ZipFile(path, "a") as archive:
        first = archive.getinfo("archive/data/1")
        for number in range(2, 400):
            twin = zipfile.ZipInfo(f"archive/data/{number}")
            twin.file_size = twin.compress_size = first.file_size
            twin.header_offset, twin.CRC = first.header_offset, first.CRC
            archive.filelist.append(twin)
        archive._didModify = True  # type: ignore[attr-defined]


def second_directory(path: Path) -> None:
    """Put an archive behind an archive."""
    evil = write_zip(path.with_name("evil.zip"), body(call("os.system", RUN)))
    path.write_bytes(path.read_bytes() + evil.read_bytes())


ARCHIVES: dict[str, tuple[Callable[[Path], None], str]] = {
    "a path out of it": (with_record("archive/../../canary"), "leads out of it"),
    "an absolute path": (with_record("/tmp/canary"), "leads out of it"),
    "a path of Windows": (with_record("archive/..\\canary"), "leads out of it"),
    "two pickles": (with_record("archive/data.pkl", body(b"}")), "holds `data.pkl` twice"),
    "two archives": (with_record("other/data.pkl", body(b"}")), "twice"),
    "another folder": (with_record("other/data/7"), "several archives"),
    "a program": (with_record("archive/constants.pkl"), "TorchScript program"),
    "a compressed bomb": (
        with_record("archive/data/1", bytes(1 << 26), compress_type=zipfile.ZIP_DEFLATED), "is compressed"),
    "overlapping records": (overlapping, "claim more than"),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(("change", "reason"), ARCHIVES.values(), ids=ARCHIVES.keys())
@pytest.mark.usefixtures("torch_is_not_asked")
def test_archive_with_tricks_is_refused(tmp_path: Path, change: Callable[[Path], None], reason: str) -> None:
    path = write_zip(tmp_path / "a.pth", body(b"}"))
    change(path)
    with pytest.raises(IntegrityError) as caught:
        read_checkpoint(path)
    assert reason in caught.value.causes[0]


def test_archive_behind_an_archive_is_the_one_that_is_looked_into(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.pth", body(b"}"))
    second_directory(path)
    with pytest.raises((UnsafeFileError, IntegrityError)):
        read_checkpoint(path)


# What would take all memory or all time


def deep(levels: int) -> bytes:
    return b"]" * levels + pickle.APPEND * (levels - 1)


def laughs() -> bytes:
    """Lists of ten references to the list before: a thousand bytes that unfold to 10^20 parts."""
    out = b"(]" + pickle.BINPUT + b"\x00"
    for level in range(20):
        out += b"](" + (pickle.BINGET + bytes([level])) * 10 + pickle.APPENDS + pickle.BINPUT + bytes([level + 1])
    return out + pickle.TUPLE


BOMBS: dict[str, tuple[bytes, str]] = {
    "lists in lists": (deep(100_000), "levels deep"),
    "a list that holds itself": (
        b"]" + pickle.BINPUT + b"\x00" + pickle.BINGET + b"\x00" + pickle.APPEND, "holds itself"),
    "a billion laughs": (laughs(), "unfolds to"),
    "an array larger than its bytes": (
        call("numpy.core.multiarray._reconstruct", named("numpy.ndarray"), (0,), "b")
        + pushed((1, (10**6, 10**6), call("numpy.dtype", "f8", False, True), False,
                  call("_codecs.encode", "12345678", "latin1"))) + pickle.BUILD, "has 8 bytes"),
}  # fmt: skip


@pytest.mark.parametrize(("extra", "reason"), BOMBS.values(), ids=BOMBS.keys())
def test_data_that_nobody_could_walk_through_is_refused(tmp_path: Path, extra: bytes, reason: str) -> None:
    with pytest.raises(IntegrityError) as caught:
        read_checkpoint(write_zip(tmp_path / "a.pth", body(extra)))
    assert reason in caught.value.causes[0]


READ_ALL = """
import resource, sys
from pathlib import Path
from mimctl.engine.checkpoints.checkpoint import read_checkpoint
from mimctl.errors import IntegrityError, UnsafeFileError
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for path in sorted(Path(sys.argv[1]).glob("*.pth")):
    try:
        read_checkpoint(path)
        print("read", path)
    except (IntegrityError, UnsafeFileError):
        pass
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_no_hostile_file_takes_more_memory_than_a_small_one(tmp_path: Path) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    for number, (extra, _) in enumerate([*NAMED.values(), *BROKEN.values(), *BOMBS.values()]):
        write_zip(folder / f"{number}.pth", body(extra))
        write_old(folder / f"{number}-old.pth", body(extra))
    for number, (change, _) in enumerate(ARCHIVES.values()):
        change(write_zip(folder / f"archive-{number}.pth", body(b"}")))
    found = subprocess.run(
        [sys.executable, "-c", READ_ALL, str(folder)], cwd=HERE.parents[1], capture_output=True, text=True, check=True
    )
    *read, kilobytes = found.stdout.splitlines()
    assert read == []
    assert int(kilobytes) < 100_000


# safetensors


@pytest.mark.parametrize(
    "header",
    [
        b'{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16000000000]}}',
        b'{"a":{"dtype":"F32","shape":[4000000000],"data_offsets":[0,16]}}',
        b'{"a":{"dtype":"F32","shape":[4],"data_offsets":[-16,0]}}',
        b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}',
        b'{"a":{"dtype":"PY","shape":[4],"data_offsets":[0,16]}}',
        b'{"a":' * 5000,
        b"not json at all",
    ],
    ids=["behind the file", "a larger shape", "before the file", "overlapping", "an unknown type", "deep", "no json"],
)
def test_safetensors_header_that_lies_is_refused(tmp_path: Path, header: bytes) -> None:
    (tmp_path / "a.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + bytes(16))
    with pytest.raises(IntegrityError) as caught:
        read_checkpoint(tmp_path / "a.safetensors")
    assert caught.value.code == "bad-checkpoint"


def test_safetensors_length_that_lies_is_refused(tmp_path: Path) -> None:
    for length in (2**63, 2**40, 10**9):
        (tmp_path / "a.safetensors").write_bytes(struct.pack("<Q", length) + b"{}")
        with pytest.raises(IntegrityError):
            read_checkpoint(tmp_path / "a.safetensors")

"""MNIST's and CIFAR's files: read as published, and refused with their names where they are hostile or damaged."""

from __future__ import annotations

import gzip
import os
import pickle
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mimctl.errors import MimctlError, UnsafeFileError
from mimctl_cls.datasets import CIFAR10, CIFAR100, MNIST, FashionMNIST
from mimctl_cls.idx import read_idx


def idx(array: np.ndarray[Any, Any]) -> bytes:
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()


def write_digits(root: Path, stem: str, count: int, *, spelling: str = "{}-idx{}-ubyte.gz") -> None:
    pictures = np.arange(count, dtype=np.uint8)[:, None, None] + np.zeros((1, 28, 28), np.uint8)
    labels = np.arange(count, dtype=np.uint8) % 10
    for kind, array in (("images", pictures), ("labels", labels)):
        path = root / spelling.format(f"{stem}-{kind}", array.ndim)
        path.write_bytes(gzip.compress(idx(array)) if path.suffix == ".gz" else idx(array))


@pytest.mark.parametrize("spelling", ["{}-idx{}-ubyte", "{}-idx{}-ubyte.gz", "{}.idx{}-ubyte", "{}.idx{}-ubyte.gz"])
def test_training_and_test_files(tmp_path: Path, spelling: str) -> None:
    write_digits(tmp_path, "train", 12, spelling=spelling)
    write_digits(tmp_path, "t10k", 5, spelling=spelling)
    train, test = MNIST(str(tmp_path)), MNIST(data_prefix=str(tmp_path), test_mode=True)
    assert (len(train), len(test), len(MNIST(str(tmp_path), split="test"))) == (12, 5, 5)
    info = train.get_data_info(11)
    assert (info["img"].shape, info["img"].dtype, int(info["img"][3, 4]), info["gt_label"]) == (
        (28, 28),
        np.uint8,
        11,
        1,
    )
    assert train.CLASSES is not None
    assert train.CLASSES[3] == "3 - three"
    assert FashionMNIST(str(tmp_path)).CLASSES[9] == "Ankle boot"  # type: ignore[index]
    assert [int(each["gt_label"]) for each in map(MNIST(str(tmp_path), indices=-2).get_data_info, (0, 1))] == [0, 1]


def test_real_digits(test_data: Path) -> None:
    digits = MNIST(str(test_data / "mnist"), test_mode=True)
    assert len(digits) == 10000
    labels = digits.get_gt_labels()
    assert np.bincount(labels).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert labels[:8].tolist() == [7, 2, 1, 0, 4, 1, 4, 9]
    last = MNIST(str(test_data / "mnist"), split="test", indices=-2000)
    assert (len(last), last.get_gt_labels().tolist()) == (2000, labels[8000:].tolist())
    first = digits.get_data_info(0)["img"]
    assert (int(first.max()), int(first[7, 6]), int(first.sum())) == (255, 84, 18454)


def test_missing_files_are_named_and_nothing_is_fetched(tmp_path: Path) -> None:
    with pytest.raises(MimctlError, match=r"no file .*train-images-idx3-ubyte\.gz") as caught:
        MNIST(str(tmp_path), download=True)
    assert caught.value.code == "missing-file"
    assert "mimctl download --dataset mnist --dest " in caught.value.hints[0]
    assert any("a run fetches no data" in each for each in caught.value.causes)
    with pytest.raises(MimctlError, match="needs `data_root`"):
        MNIST()
    with pytest.raises(MimctlError, match="there is no split `val`"):
        MNIST(str(tmp_path), split="val")


GOOD = idx(np.zeros((3, 4, 5), np.uint8))
BAD_IDX = {
    "empty": b"",
    "magic": b"PK\3\4" + GOOD[4:],
    "type": b"\0\0\x0d\3" + GOOD[4:],
    "dimensions": idx(np.zeros((3, 20), np.uint8)),
    "short header": GOOD[:9],
    "cut": GOOD[:-1],
    "too long": GOOD + b"\0",
    "counts beyond memory": b"\0\0\x08\3" + struct.pack(">3I", 2**32 - 1, 2**32 - 1, 2**32 - 1),
    "counts beyond the file": b"\0\0\x08\3" + struct.pack(">3I", 60000, 28, 28) + bytes(100),
    "cut gzip": gzip.compress(os.urandom(4000))[:2000],
    "cut gzip of a good file": gzip.compress(GOOD)[:-6],
    "gzip with a wrong checksum": gzip.compress(GOOD)[:-8] + b"\0" * 8,
    "no gzip": b"\x1f\x8b" + os.urandom(50),
}


@pytest.mark.parametrize("data", BAD_IDX.values(), ids=BAD_IDX.keys())
def test_damaged_idx_file_is_one_error_with_its_name(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "t10k-images-idx3-ubyte"
    path.write_bytes(data)
    with pytest.raises(MimctlError) as caught:
        read_idx(str(path), 3)
    assert caught.value.code == "bad-annotations"
    assert caught.value.message.startswith(f"{path}: ")


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(data=st.binary(max_size=64), cut=st.integers(0, len(GOOD)), packed=st.booleans())
def test_no_bytes_lead_to_anything_but_an_array_or_an_error(
    tmp_path: Path, data: bytes, cut: int, packed: bool
) -> None:
    whole = GOOD[:cut] + data
    path = tmp_path / "some-idx3-ubyte"
    path.write_bytes(gzip.compress(whole) if packed else whole)
    try:
        assert read_idx(str(path), 3).tobytes() == whole[16:]
    except MimctlError as err:
        assert err.code == "bad-annotations"


def test_bomb_is_not_unpacked_beyond_its_header(tmp_path: Path) -> None:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    parts = [packer.compress(GOOD), *(packer.compress(bytes(2**24)) for _ in range(8)), packer.flush()]  # 128 MiB
    path = tmp_path / "t10k-images-idx3-ubyte.gz"
    path.write_bytes(b"".join(parts))
    assert path.stat().st_size < 2**18
    with pytest.raises(MimctlError, match="holds more bytes, and its header speaks of 60 "):
        read_idx(str(path), 3)


def test_labels_must_fit_pictures_and_classes(tmp_path: Path) -> None:
    write_digits(tmp_path, "train", 3)
    labels = tmp_path / "train-labels-idx1-ubyte.gz"
    for array, says in (([1, 2], "holds 2 labels for 3 pictures"), ([1, 10, 2], "label 10 is outside of 10 classes")):
        labels.write_bytes(gzip.compress(idx(np.array(array, np.uint8))))
        with pytest.raises(MimctlError) as caught:
            MNIST(str(tmp_path))
        assert caught.value.message.startswith(f"{labels}: {says}")


def as_python_2(batch: dict[str, Any]) -> bytes:
    """Return a pickle of protocol 2 whose array names numpy as the published files do."""
    return pickle.dumps(batch, protocol=2).replace(b"numpy._core.multiarray", b"numpy.core.multiarray")


def write_batches(root: Path, names: tuple[str, ...], label_key: str, *, protocol: int | None = None) -> None:
    root.mkdir(parents=True)
    for number, name in enumerate(names):
        data = np.full((2, 3072), number, np.uint8)
        data[:, 1024:2048] += 100
        batch = {"data": data, label_key: [number, 9 - number], "filenames": ["a.png", "b.png"]}
        (root / name).write_bytes(as_python_2(batch) if protocol is None else pickle.dumps(batch, protocol=protocol))


@pytest.mark.parametrize("protocol", [None, 4, 5])
def test_cifar_batches(tmp_path: Path, protocol: int | None) -> None:
    write_batches(
        tmp_path / "cifar-10-batches-py", (*CIFAR10.train_list, *CIFAR10.test_list), "labels", protocol=protocol
    )
    train, test = CIFAR10(data_root=str(tmp_path)), CIFAR10(str(tmp_path), split="test", test_mode=True)
    assert (len(train), len(test)) == (10, 2)
    assert train.get_gt_labels().tolist() == [0, 9, 1, 8, 2, 7, 3, 6, 4, 5]
    image = train.get_data_info(2)["img"]
    assert (image.shape, image[5, 6].tolist()) == ((32, 32, 3), [1, 101, 1])
    write_batches(tmp_path / "cifar-100-python", ("train", "test"), "fine_labels", protocol=protocol)
    hundred = CIFAR100(data_root=str(tmp_path))
    assert (len(hundred), hundred.get_gt_labels().tolist()) == (2, [0, 9])
    assert hundred.CLASSES is not None
    assert (len(hundred.CLASSES), hundred.CLASSES[0], hundred.CLASSES[99]) == (100, "apple", "worm")


class Runs:
    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> Any:
        return self.call


def hostile_batches(marker: Path) -> dict[str, bytes]:
    command = f"touch {marker}"
    return {
        "os.system": pickle.dumps({"data": Runs(os.system, command), "labels": []}),
        "exec": pickle.dumps({"data": Runs(exec, f"open({str(marker)!r}, 'w')"), "labels": []}),
        "getattr": pickle.dumps(Runs(getattr, "x", "upper")),
        "old opcode": f"(S'{command}'\nios\nsystem\n.".encode(),
        "numpy's own loader": b"\x80\x02cnumpy\nload\nU\x04fileR.",
        "object array": pickle.dumps({"data": np.array([Runs(os.system, command)], object), "labels": [0]}),
    }


@pytest.mark.parametrize("name", hostile_batches(Path("x")))
def test_hostile_pickle_runs_nothing_and_is_refused_by_the_name_it_would_call(tmp_path: Path, name: str) -> None:
    marker = tmp_path / "ran"
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    (folder / "test_batch").write_bytes(hostile_batches(marker)[name])
    with pytest.raises(UnsafeFileError, match=r"test_batch is a pickle that names `[\w.]+`") as caught:
        CIFAR10(str(tmp_path), split="test")
    assert caught.value.code == "unsafe-annotations"
    assert not marker.exists()


BAD_BATCHES = {
    "empty": b"",
    "cut": as_python_2({"data": np.zeros((2, 3072), np.uint8), "labels": [1, 2]})[:-300],
    "no dict": pickle.dumps([1, 2]),
    "no labels": as_python_2({"data": np.zeros((2, 3072), np.uint8)}),
    "too few labels": as_python_2({"data": np.zeros((2, 3072), np.uint8), "labels": [1]}),
    "label out of range": as_python_2({"data": np.zeros((1, 3072), np.uint8), "labels": [10]}),
    "label no number": as_python_2({"data": np.zeros((1, 3072), np.uint8), "labels": ["cat"]}),
    "wide values": as_python_2({"data": np.zeros((1, 3072), np.float64), "labels": [1]}),
    "no array": pickle.dumps({"data": "abc", "labels": [1]}),
    "nonsense": b"\x80\x04\x95\xff\xff\xff\xff\xff\xff\xff\xff.",
    "state that is none": b"\x80\x02}(U\x04datacnumpy\nndarray\n)\x81K\x01bU\x06labels]u.",
}


@pytest.mark.parametrize("data", BAD_BATCHES.values(), ids=BAD_BATCHES.keys())
def test_damaged_batch_is_one_error_with_its_name(tmp_path: Path, data: bytes) -> None:
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    (folder / "test_batch").write_bytes(data)
    with pytest.raises(MimctlError) as caught:
        CIFAR10(str(tmp_path), split="test")
    assert caught.value.code == "bad-annotations"
    assert caught.value.message.startswith(f"{folder}/test_batch: ")


def test_missing_batch_is_named(tmp_path: Path) -> None:
    with pytest.raises(MimctlError, match=r"no file .*cifar-10-batches-py/data_batch_1"):
        CIFAR10(str(tmp_path))

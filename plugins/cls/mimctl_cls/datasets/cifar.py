"""CIFAR-10 and CIFAR-100 as published: pickles, of which nothing but arrays, lists and texts is read."""

from __future__ import annotations

import io
import pickle
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from mimctl.engine.data.transform import Sample
from mimctl.engine.files import fileio
from mimctl.engine.files.datafiles import bad_annotations
from mimctl.engine.registry import DATASETS
from mimctl.errors import UnsafeFileError
from mimctl_cls import class_names
from mimctl_cls.datasets.published import PublishedDataset

PIXELS = 3 * 32 * 32


@DATASETS.register_module()
class CIFAR10(PublishedDataset):
    """Pictures of ten kinds; a sample's `img` is (32, 32, 3) uint8 in RGB order, as the files have it.

    The files lie in `cifar-10-batches-py` below `data_prefix` (below `data_root`). `download` is accepted; a run
    fetches nothing. Raises MimctlError[missing-file], [bad-annotations], and UnsafeFileError for a pickle that names
    anything but a numpy array.
    """

    gives_rgb = True
    base_folder = "cifar-10-batches-py"
    train_list = ("data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5")
    test_list = ("test_batch",)
    label_key = "labels"
    published_as = "cifar10"
    METAINFO: Mapping[str, Any] = {"classes": class_names.CIFAR10}

    def load_data_list(self) -> list[Sample]:
        """Read the batches of the split."""
        found: list[Sample] = []
        for name in self.train_list if self.split == "train" else self.test_list:
            path = fileio.join(self.data_prefix["root"], fileio.join(self.base_folder, name))
            if not fileio.exists(path):
                raise self.not_there(path)
            pictures, labels = _read_batch(path, self.label_key)
            for label in labels:
                self.require_label(label, path)
            found += [{"img": image, "gt_label": label} for image, label in zip(pictures, labels, strict=True)]
        return found


@DATASETS.register_module()
class CIFAR100(CIFAR10):
    """Pictures of a hundred kinds, in `cifar-100-python`; the labels are the fine ones."""

    base_folder = "cifar-100-python"
    train_list = ("train",)
    test_list = ("test",)
    label_key = "fine_labels"
    published_as = "cifar100"
    METAINFO: Mapping[str, Any] = {"classes": class_names.listed("cifar100")}


class _Array:
    """What a pickled array says of itself; no numpy code runs while the pickle is read."""

    body: Any = b""

    def __setstate__(self, state: Any) -> None:
        *_, self.body = state


class _Dtype:
    """A dtype, which is not needed: a picture has one byte a value."""

    def __init__(self, *_: Any) -> None: ...

    def __setstate__(self, state: Any) -> None: ...


def _make_array(*_: Any) -> _Array:
    return _Array()


def _array_of(body: Any, *_: Any) -> _Array:
    array = _Array()
    array.body = body
    return array


def _to_bytes(text: Any, _encoding: Any = "latin1") -> Any:
    return text.encode("latin1") if isinstance(text, str) else text


_KNOWN = {
    "numpy.core.multiarray._reconstruct": _make_array,
    "numpy._core.multiarray._reconstruct": _make_array,
    "numpy.core.numeric._frombuffer": _array_of,
    "numpy._core.numeric._frombuffer": _array_of,
    "numpy.ndarray": _Array,
    "numpy.dtype": _Dtype,
    "_codecs.encode": _to_bytes,
}


class _Unpickler(pickle.Unpickler):
    """Reads dicts, lists, texts, numbers and arrays; whatever else a pickle names is refused."""

    path = ""

    def find_class(self, module: str, name: str) -> Any:
        known = _KNOWN.get(f"{module}.{name}")
        if known is None:
            raise UnsafeFileError(
                f"{self.path} is a pickle that names `{module}.{name}`, and reading it could run code",
                code="unsafe-annotations",
                causes=["of the published files none names anything but a numpy array"],
            )
        return known


def _read_batch(path: str, label_key: str) -> tuple[npt.NDArray[np.uint8], list[int]]:
    """Return the pictures (N, 32, 32, 3) and labels of a batch file."""
    unpickler = _Unpickler(io.BytesIO(fileio.get(path)), encoding="latin1")
    unpickler.path = path
    try:
        batch = unpickler.load()
    except UnsafeFileError:
        raise
    except Exception as err:  # a damaged pickle raises whatever its opcodes come to
        raise bad_annotations(path, "is no whole pickle", f"{type(err).__name__}: {err}") from err
    if not isinstance(batch, dict) or not {"data", label_key} <= batch.keys():
        raise bad_annotations(path, f"is no batch of CIFAR: it lacks `data` or `{label_key}`")
    data, labels = batch["data"], batch[label_key]
    body = _to_bytes(data.body) if isinstance(data, _Array) else b""
    if not isinstance(labels, list) or not isinstance(body, bytes | bytearray) or len(body) != len(labels) * PIXELS:
        raise bad_annotations(path, f"needs {PIXELS} bytes of picture for each label")
    return np.frombuffer(body, np.uint8).reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1), labels

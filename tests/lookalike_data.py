"""Archives built as the publishers of known data sets build theirs, with a few pictures of our own in them."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import pickle
import re
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import cv2
import numpy as np

from mimctl.zoo.datasets.table import FOLDER, DataSet, read_data_set

_NOISE = np.random.default_rng(0)


def picture(colour: tuple[int, int, int], suffix: str = ".jpg", size: int = 48) -> bytes:
    """Return a noisy picture of one colour (BGR)."""
    pixels = np.clip(_NOISE.normal(colour, 25, (size, size, 3)), 0, 255).astype(np.uint8)
    return bytes(cv2.imencode(suffix, pixels)[1])


def packed(name: str, files: Mapping[str, bytes]) -> bytes:
    """Return the archive of that name (`.zip`, `.tar`, `.tgz`, `.tar.gz`) with these files."""
    stream = io.BytesIO()
    if name.endswith(".zip"):
        with zipfile.ZipFile(stream, "w") as archive:
            for path, body in files.items():
                archive.writestr(path, body)
        return stream.getvalue()
    with tarfile.open(fileobj=stream, mode="w:" if name.endswith(".tar") else "w:gz") as archive:  # type: ignore[call-overload]
        for path, body in files.items():
            info = tarfile.TarInfo(path)
            info.size = len(body)
            archive.addfile(info, io.BytesIO(body))
    return stream.getvalue()


def mnist() -> dict[str, bytes]:
    """Return four IDX files: 40 pictures to train on, 20 to test on."""
    found = {}
    for stem, count in (("train", 40), ("t10k", 20)):
        labels = np.arange(count, dtype=np.uint8) % 10
        pictures = np.clip(_NOISE.normal(labels[:, None, None] * 25, 9, (count, 28, 28)), 0, 255).astype(np.uint8)
        head = b"\0\0\x08\x03" + b"".join(number.to_bytes(4, "big") for number in (count, 28, 28))
        found[f"{stem}-images-idx3-ubyte.gz"] = gzip.compress(head + pictures.tobytes())
        found[f"{stem}-labels-idx1-ubyte.gz"] = gzip.compress(
            b"\0\0\x08\x01" + count.to_bytes(4, "big") + labels.tobytes()
        )
    return found


def cifar10() -> dict[str, bytes]:
    """Return CIFAR-10's archive with ten pictures a batch, pickled as the publisher did."""
    files = {}
    for name in (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"):
        pictures = _NOISE.integers(0, 255, (10, 3072), dtype=np.uint8)
        batch = {b"data": pictures, b"labels": list(range(10)), b"batch_label": name.encode()}
        files[f"cifar-10-batches-py/{name}"] = pickle.dumps({k.decode(): v for k, v in batch.items()}, protocol=2)
    return {"cifar-10-python.tar.gz": packed(".tar.gz", files)}


def imagenette() -> dict[str, bytes]:
    """Return Imagenette's archive with two classes."""
    colours = {"n01440764": (200, 60, 40), "n02102040": (40, 60, 200)}
    files = {
        f"imagenette2-160/{split}/{kind}/{kind}_{number}.JPEG": picture(colour)
        for split, count in (("train", 8), ("val", 4))
        for kind, colour in colours.items()
        for number in range(count)
    }
    return {"imagenette2-160.tgz": packed(".tgz", {**files, "imagenette2-160/noisy_imagenette.csv": b"path\n"})}


def caltech101() -> dict[str, bytes]:
    """Return Caltech-101's archive of two archives."""
    pictures = {
        f"101_ObjectCategories/{kind}/image_{number:04}.jpg": picture(colour)
        for kind, colour in (("accordion", (200, 60, 40)), ("anchor", (40, 60, 200)))
        for number in range(6)
    }
    outer = {
        "caltech-101/101_ObjectCategories.tar.gz": packed(".tar.gz", pictures),
        "caltech-101/Annotations.tar": packed(".tar", {"Annotations/anchor/annotation_0001.mat": b"MATLAB"}),
        "caltech-101/show_annotation.m": b"%",
        "__MACOSX/caltech-101/._show_annotation.m": b"junk",
    }
    return {"caltech-101.zip": packed(".zip", outer)}


def voc2007() -> dict[str, bytes]:
    """Return the two archives of Pascal VOC 2007, which fill the same folders."""
    return {
        "VOCtrainval_06-Nov-2007.tar": packed(".tar", _voc({"train": range(1, 9), "val": range(9, 13)}, "trainval")),
        "VOCtest_06-Nov-2007.tar": packed(".tar", _voc({"test": range(13, 17)}, None)),
    }


def coco2017() -> dict[str, bytes]:
    """Return COCO's archives of train, val and annotations."""
    annotations, found = {}, {}
    box = {"bbox": [4, 4, 30, 30], "area": 900, "iscrowd": 0}
    for split, numbers in (("train", range(1, 9)), ("val", range(9, 13))):
        images = {f"{split}2017/{number:012}.jpg": picture((200, 60, 40)) for number in numbers}
        found[f"{split}2017.zip"] = packed(".zip", {f"{split}2017/": b"", **images})
        document = {
            "images": [{"id": n, "file_name": f"{n:012}.jpg", "height": 48, "width": 48} for n in numbers],
            "annotations": [{**box, "id": n, "image_id": n, "category_id": 1 + 17 * (n % 2)} for n in numbers],
            "categories": [{"id": 1, "name": "person"}, {"id": 18, "name": "dog"}],
        }
        annotations[f"annotations/instances_{split}2017.json"] = json.dumps(document).encode()
        captions = {**document, "annotations": [{"id": n, "image_id": n, "caption": "a dog"} for n in numbers]}
        annotations[f"annotations/captions_{split}2017.json"] = json.dumps(captions).encode()
    return {**found, "annotations_trainval2017.zip": packed(".zip", annotations)}


MAKERS: dict[str, Callable[[], dict[str, bytes]]] = {
    "mnist": mnist,
    "cifar10": cifar10,
    "imagenette-160": imagenette,
    "caltech101": caltech101,
    "voc2007": voc2007,
    "coco2017": coco2017,
}


def publish(name: str, folder: Path, address: str) -> str:
    """Write the look-alike of a data set to `folder`, which `address` serves, and return its entry made to fit."""
    text = (FOLDER / f"{name}.toml").read_text(encoding="utf-8")
    bodies = MAKERS[name]()
    folder.mkdir(parents=True, exist_ok=True)
    for file, body in bodies.items():
        (folder / file).write_bytes(body)
    head, *files = text.split("[[files]]\n")
    published = [file for file in files if "optional = true" not in file]
    return "[[files]]\n".join([head, *(_made_to_fit(file, bodies, address) for file in published)])


def publish_data_set(name: str, folder: Path, address: str) -> DataSet:
    """Publish the look-alike of a data set, and return what its entry says."""
    path = folder.parent / f"{name}.toml"
    path.write_text(publish(name, folder, address), encoding="utf-8")
    return read_data_set(path)


def _made_to_fit(file: str, bodies: Mapping[str, bytes], address: str) -> str:
    """Return the lines of one file with the address, length and hash of its look-alike."""
    name = re.search(r'^name = "(.*)"$', file, re.MULTILINE)
    assert name is not None
    body = bodies[name[1]]
    kept = re.sub(r"^(urls = \[(.*?)\]|(size|sha256|md5) = .*?)\n", "", file, flags=re.MULTILINE | re.DOTALL)
    facts = {"urls": [f"{address}/{name[1]}"], "size": len(body), "sha256": hashlib.sha256(body).hexdigest()}
    return "".join(f"{key} = {json.dumps(value)}\n" for key, value in facts.items()) + kept


def _voc(splits: Mapping[str, range], both: str | None) -> dict[str, bytes]:
    root = "VOCdevkit/VOC2007"
    files = {}
    for split, numbers in splits.items():
        files[f"{root}/ImageSets/Main/{split}.txt"] = "".join(f"{n:06}\n" for n in numbers).encode()
        for number in numbers:
            files[f"{root}/JPEGImages/{number:06}.jpg"] = picture((200, 60, 40))
            files[f"{root}/Annotations/{number:06}.xml"] = _VOC_XML.format(kind=("dog", "cat")[number % 2]).encode()
    if both is not None:
        every = sorted(number for numbers in splits.values() for number in numbers)
        files[f"{root}/ImageSets/Main/{both}.txt"] = "".join(f"{n:06}\n" for n in every).encode()
    return files


_VOC_XML = """<annotation><size><width>48</width><height>48</height><depth>3</depth></size>
<object><name>{kind}</name><difficult>0</difficult>
<bndbox><xmin>5</xmin><ymin>5</ymin><xmax>34</xmax><ymax>34</ymax></bndbox></object></annotation>
"""

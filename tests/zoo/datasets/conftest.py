"""A data set of three archives on the loopback, described in a file of the table's form."""

from __future__ import annotations

import hashlib
import io
import json
import random
import tarfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from static_server import Server, serving

from mimctl.settings import Settings
from mimctl.zoo.datasets.fetch import FetchedData, fetch_data_set
from mimctl.zoo.datasets.table import DataSet, read_data_set

_RANDOM = random.Random(0)
TRAIN = {f"photos/train/{kind}/{number}.jpg": _RANDOM.randbytes(900) for kind in "ab" for number in range(9)}
VAL = {f"photos/val/{kind}/{number}.jpg": _RANDOM.randbytes(900) for kind in "ab" for number in range(4)}
NOTES = {"notes/readme.txt": b"read me"}
LIST = b"train 18\nval 8\n"


def as_tar(files: Mapping[str, bytes], mode: str = "w:gz") -> bytes:
    """Return a tar archive of files."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=mode) as archive:  # type: ignore[call-overload]
        for name, body in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(body)
            archive.addfile(info, io.BytesIO(body))
    return stream.getvalue()


def as_zip(files: Mapping[str, bytes]) -> bytes:
    """Return a zip archive of files."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, body in files.items():
            archive.writestr(name, body)
    return stream.getvalue()


@dataclass
class Published:
    """What a publisher serves, and the file that describes it."""

    served: Path
    server: Server
    description: Path
    entries: list[dict[str, Any]] = field(default_factory=list)
    bodies: dict[str, bytes] = field(default_factory=dict)

    def add(self, part: str, name: str, body: bytes, gives: list[str], **facts: Any) -> None:
        """Serve one more file, with its SHA-256 unless `facts` say otherwise."""
        (self.served / name).write_bytes(body)
        self.bodies[name] = body
        if not {"sha256", "md5", "unchecked"} & facts.keys():
            facts["sha256"] = hashlib.sha256(body).hexdigest()
        facts.setdefault("size", len(body))
        urls = [f"{self.server.address}/{name}"]
        self.entries.append({"part": part, "name": name, "urls": urls, "gives": gives, **facts})
        self.write()

    def write(self) -> None:
        """Write the description anew."""
        lines = ['title = "Photos of two kinds"', 'licence = "CC0"', 'home = "https://photos.example"', "[train]"]
        lines.append('cls = "photos"')
        for entry in self.entries:
            lines.append("[[files]]")
            lines += [f"{key} = {json.dumps(value)}" for key, value in entry.items() if value is not None]
        self.description.write_text("\n".join(lines) + "\n", encoding="utf-8")

    @property
    def data_set(self) -> DataSet:
        """Return it as it is described."""
        return read_data_set(self.description)

    @property
    def asked(self) -> list[str]:
        """Return what was asked for, by name."""
        return [path.lstrip("/") for path in self.server.asked]


@pytest.fixture
def published(tmp_path: Path) -> Iterator[Published]:
    """Serve the data set: two archives, a plain file, and a part that nobody gets unasked."""
    served = tmp_path / "served"
    served.mkdir()
    with serving(served) as server:
        found = Published(served=served, server=server, description=tmp_path / "photos.toml")
        found.add("train", "train.tar.gz", as_tar(TRAIN), ["photos/train"])
        found.add("val", "val.zip", as_zip(VAL), ["photos/val"])
        found.add("val", "splits.txt", LIST, ["lists/splits.txt"], into="lists")
        found.add("notes", "notes.tar", as_tar(NOTES, "w:"), ["notes"], optional=True)
        yield found


@pytest.fixture
def fetch(published: Published, tmp_path: Path, settings: Settings) -> Callable[..., FetchedData]:
    """Return a function that brings the data set to `tmp_path/data`, or as it is told."""

    def call(**options: Any) -> FetchedData:
        given = {"dest": tmp_path / "data", "settings": settings, **options}
        return fetch_data_set(published.data_set, **given)

    return call

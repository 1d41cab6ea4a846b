"""Archives as publishers make them, and as nobody should: nothing leaves the folder, no link, no full disk."""

from __future__ import annotations

import gzip
import io
import os
import random
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mimctl.errors import IntegrityError, MimctlError, UnsafeFileError
from mimctl.zoo.datasets.unpack import most_bytes_of, unpack

MOST = 1 << 20
FILES = {"set/train/cat/1.jpg": b"cat" * 700, "set/train/dog/2.jpg": b"dog" * 512, "set/readme.txt": b""}
KINDS = {"set.zip": None, "set.tar": "w:", "set.tar.gz": "w:gz", "set.tgz": "w:gz", "set.tar.xz": "w:xz"}
KINDS["set.tar.bz2"] = "w:bz2"


def tarred(path: Path, members: list[tuple[tarfile.TarInfo, bytes]], mode: str = "w:") -> Path:
    """Write a tar archive of these members."""
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for info, body in members:
            info.size = len(body)
            archive.addfile(info, io.BytesIO(body))
    return path


def entry(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


def zipped(path: Path, members: list[tuple[str, bytes]], mode: int = 0) -> Path:
    """Write a zip archive, each member with this Unix mode."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, body in members:
            info = zipfile.ZipInfo("placeholder")
            info.filename, info.external_attr, info.compress_type = name, mode << 16, zipfile.ZIP_DEFLATED
            archive.writestr(info, body)
    return path


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", KINDS)
def test_what_was_packed_comes_out(name: str, tmp_path: Path) -> None:
    mode = KINDS[name]
    archive = tmp_path / name
    if mode is None:
        zipped(archive, [("set/", b""), *FILES.items()])
    else:
        folder = (entry("./set", tarfile.DIRTYPE), b"")
        tarred(archive, [folder, *((entry(f"./{path}"), body) for path, body in FILES.items())], mode)
    unpack(archive, tmp_path / "out", shown=name, most_bytes=MOST)
    assert contents(tmp_path / "out") == FILES


def test_files_get_this_users_permissions_and_no_others(tmp_path: Path) -> None:
    info = entry("run.sh")
    info.mode = 0o6777
    unpack(tarred(tmp_path / "set.tar", [(info, b"#!/bin/sh")]), tmp_path / "out", shown="x", most_bytes=MOST)
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE((tmp_path / "out" / "run.sh").stat().st_mode) == 0o666 & ~mask


def test_links_inside_an_archive_become_copies(tmp_path: Path) -> None:
    members = [
        (entry("a/1.jpg"), b"one"),
        (entry("a/same.jpg", tarfile.LNKTYPE, "a/1.jpg"), b""),
        (entry("b/also.jpg", tarfile.SYMTYPE, "../a/1.jpg"), b""),
    ]
    unpack(tarred(tmp_path / "set.tar", members), tmp_path / "out", shown="x", most_bytes=MOST)
    assert contents(tmp_path / "out") == {"a/1.jpg": b"one", "a/same.jpg": b"one", "b/also.jpg": b"one"}
    assert not any(path.is_symlink() for path in (tmp_path / "out").rglob("*"))
    assert (tmp_path / "out/a/same.jpg").stat().st_nlink == 1


def test_leftovers_of_a_mac_are_left_out(tmp_path: Path) -> None:
    zipped(tmp_path / "set.zip", [("balloon/1.jpg", b"1"), ("__MACOSX/balloon/._1.jpg", b"junk")])
    unpack(tmp_path / "set.zip", tmp_path / "out", shown="x", most_bytes=MOST)
    assert contents(tmp_path / "out") == {"balloon/1.jpg": b"1"}


def _tar(*members: tuple[tarfile.TarInfo, bytes]) -> Callable[[Path], Path]:
    return lambda folder: tarred(folder / "set.tar", list(members))


def _zip(*members: tuple[str, bytes], mode: int = 0) -> Callable[[Path], Path]:
    return lambda folder: zipped(folder / "set.zip", list(members), mode)


def _encrypted(folder: Path) -> Path:
    path = zipped(folder / "set.zip", [("a.jpg", b"secret")])
    data = bytearray(path.read_bytes())
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(mark) + offset] |= 1
    path.write_bytes(bytes(data))
    return path


def _long_record(folder: Path) -> Path:
    """Write a gzip of 100 kB whose first record says that a name of 2 GiB follows."""
    info = entry("././@LongLink", tarfile.GNUTYPE_LONGNAME)
    info.size = 2 << 30
    with gzip.open(folder / "set.tar.gz", "wb") as stream:
        stream.write(info.tobuf(tarfile.GNU_FORMAT))
        stream.write(b"x" * (100 << 10))
    return folder / "set.tar.gz"


HOSTILE: dict[str, tuple[Callable[[Path], Path], str]] = {
    "tar: parent": (_tar((entry("../evil"), b"x")), "leaves its folder"),
    "tar: parent further down": (_tar((entry("a/../../evil"), b"x")), "leaves its folder"),
    "tar: absolute": (_tar((entry("/tmp/evil"), b"x")), "leaves its folder"),
    "tar: backslash": (_tar((entry("..\\evil"), b"x")), "leaves its folder"),
    "tar: drive": (_tar((entry("C:/evil"), b"x")), "leaves its folder"),
    "tar: control characters": (_tar((entry("a\x1b[2Jb"), b"x")), "cannot be shown"),
    "tar: link out": (_tar((entry("a", tarfile.SYMTYPE, "../../etc"), b"")), "no file of the archive"),
    "tar: link to a path": (_tar((entry("a", tarfile.SYMTYPE, "/etc/passwd"), b"")), "no file of the archive"),
    "tar: hard link out": (_tar((entry("a", tarfile.LNKTYPE, "../set.tar"), b"")), "no file of the archive"),
    "tar: link to a folder, then into it": (
        _tar((entry("a", tarfile.SYMTYPE, ".."), b""), (entry("a/evil"), b"x")),
        "no file of the archive",
    ),
    "tar: link to nothing": (_tar((entry("a", tarfile.SYMTYPE, "b"), b"")), "no file of the archive"),
    "tar: device": (_tar((entry("a", tarfile.CHRTYPE), b"")), "is a device"),
    "tar: pipe": (_tar((entry("a", tarfile.FIFOTYPE), b"")), "is a device"),
    "tar: a file as a folder": (_tar((entry("a"), b"x"), (entry("a/b"), b"x")), "a file and a folder"),
    "tar: too much": (_tar((entry("a"), b"\0" * (MOST + 1))), "unpacks to more than 1 MB"),
    "tar: a name of gigabytes": (_long_record, "longer than any name"),
    "zip: parent": (_zip(("../evil", b"x")), "leaves its folder"),
    "zip: absolute": (_zip(("/tmp/evil", b"x")), "leaves its folder"),
    "zip: backslash": (_zip(("a\\..\\evil", b"x")), "leaves its folder"),
    "zip: link": (_zip(("a", b"/etc/passwd"), mode=stat.S_IFLNK | 0o777), "is a link or a device"),
    "zip: device": (_zip(("a", b""), mode=stat.S_IFBLK), "is a link or a device"),
    "zip: bomb": (_zip(("a", b"\0" * (MOST + 1))), "unpacks to more than 1 MB"),
    "zip: many files that are too much together": (
        _zip(*((f"{number}", b"\0" * 9000) for number in range(120))),
        "unpacks to more than 1 MB",
    ),
    "zip: encrypted": (_encrypted, "is encrypted"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_archives_are_refused_and_write_nothing_outside(case: str, tmp_path: Path) -> None:
    make, cause = HOSTILE[case]
    home = tmp_path / "home"
    home.mkdir()
    archive = make(home)
    with pytest.raises(UnsafeFileError) as caught:
        unpack(archive, home / "deep" / "out", shown="set", most_bytes=MOST)
    assert caught.value.code == "unsafe-archive"
    assert cause in caught.value.causes[0]
    assert not any(path.name == "evil" and not path.is_relative_to(home / "deep/out") for path in tmp_path.rglob("*"))
    assert sum(path.stat().st_size for path in (home / "deep").rglob("*") if path.is_file()) <= MOST


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("damage", ["cut", "not one at all", "bytes changed"])
def test_damaged_archives_are_one_clear_error(name: str, damage: str, tmp_path: Path) -> None:
    body = random.Random(0).randbytes(90_000)
    mode = KINDS[name]
    archive = tmp_path / name
    if mode is None:
        zipped(archive, [("a/1.jpg", body)])
    else:
        tarred(archive, [(entry("a/1.jpg"), body)], mode)
    data = archive.read_bytes()
    if damage == "cut":
        archive.write_bytes(data[: len(data) // 2])
    elif damage == "bytes changed":
        archive.write_bytes(b"\x00\xff" * 150 + data[300:-300] + b"\x13" * 300)
    else:
        archive.write_bytes(b"<html>sign in</html>" * 100)
    with pytest.raises(IntegrityError) as caught:
        unpack(archive, tmp_path / "out", shown=name, most_bytes=MOST)
    assert caught.value.code == "bad-archive"
    assert caught.value.message == f"`{name}` cannot be unpacked"


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_whatever_bytes_change_the_answer_is_files_inside_or_one_error(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    home = tmp_path_factory.mktemp("changed")
    name = data.draw(st.sampled_from(["set.zip", "set.tar"]))
    archive = home / name
    if name == "set.zip":
        zipped(archive, list(FILES.items()))
    else:
        tarred(archive, [(entry(path), body) for path, body in FILES.items()])
    body = bytearray(archive.read_bytes())
    for _ in range(data.draw(st.integers(1, 8))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    archive.write_bytes(bytes(body))
    try:
        unpack(archive, home / "out" / "inner", shown=name, most_bytes=MOST)
    except MimctlError as err:
        assert err.code in ("bad-archive", "unsafe-archive")
    assert {path.name for path in home.iterdir()} <= {name, "out"}
    assert [path.name for path in (home / "out").iterdir()] == ["inner"]
    assert not any(path.is_symlink() for path in home.rglob("*"))


def test_the_limit_grows_with_the_archive_and_with_what_the_table_says() -> None:
    assert most_bytes_of(0, None) == 1 << 30
    assert most_bytes_of(1 << 30, None) == 20 << 30
    assert most_bytes_of(1 << 20, 100 << 30) == 200 << 30


def test_progress_is_told_in_bytes_of_the_archive(tmp_path: Path) -> None:
    body = random.Random(0).randbytes(5 << 20)
    archive = tarred(tmp_path / "set.tar", [(entry(f"{number}"), body) for number in range(8)])
    told: list[tuple[int, int]] = []
    unpack(archive, tmp_path / "out", shown="x", report=lambda *each: told.append(each), most_bytes=64 << 20)
    assert told
    assert all(0 < done <= total == archive.stat().st_size for done, total in told)
    assert told == sorted(told)

"""Bringing a data set to the disk: what lies where, what is asked for again, and what an interruption leaves."""

from __future__ import annotations

import hashlib
import io
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mimctl.errors import IntegrityError, MimctlError, NetworkError, UnsafeFileError, UsageError
from mimctl.settings import Settings
from mimctl.zoo.datasets.fetch import FetchedData

ROOT = Path(__file__).resolve().parents[3]
Fetch = Callable[..., FetchedData]


def seen(folder: Path) -> dict[str, bytes]:
    """Return what a person sees below a folder."""
    found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in found.items() if "/." not in f"/{name}"}


def hidden(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if path.name.startswith(".")}


def test_all_parts_but_the_optional_lie_where_they_belong(fetch: Fetch, tmp_path: Path, published: Any) -> None:
    found = fetch()
    there = seen(tmp_path / "data")
    assert len([name for name in there if name.startswith("photos/train/")]) == 18
    assert len([name for name in there if name.startswith("photos/val/")]) == 8
    assert there["lists/splits.txt"] == published.bodies["splits.txt"]
    assert not any(name.startswith("notes") for name in there)
    assert found.train == {"cls": tmp_path / "data" / "photos"}
    assert [(each.name, each.check, each.state) for each in found.files] == [
        ("train.tar.gz", "sha256", "new"),
        ("val.zip", "sha256", "new"),
        ("splits.txt", "sha256", "new"),
    ]
    assert hidden(tmp_path / "data") == {".mimctl-data.json"}


def test_the_second_time_nothing_is_asked_for(fetch: Fetch, published: Any) -> None:
    fetch()
    published.server.asked.clear()
    again = fetch()
    assert published.asked == []
    assert not again.is_new
    assert {each.state for each in again.files} == {"there"}


def test_parts_are_chosen_and_added_later(fetch: Fetch, tmp_path: Path, published: Any) -> None:
    fetch(parts=["val"])
    assert published.asked == ["val.zip", "splits.txt"]
    assert sorted(path.name for path in (tmp_path / "data" / "photos").iterdir()) == ["val"]
    fetch(parts=["train", "notes"])
    assert published.asked[2:] == ["train.tar.gz", "notes.tar"]
    assert sorted(path.name for path in (tmp_path / "data" / "photos").iterdir()) == ["train", "val"]
    with pytest.raises(UsageError) as caught:
        fetch(parts=["trian"])
    assert caught.value.hints == ("did you mean `train`?",)


def test_what_is_missing_again_is_brought_again_and_no_more(fetch: Fetch, tmp_path: Path, published: Any) -> None:
    fetch()
    shutil.rmtree(tmp_path / "data" / "photos" / "val")
    published.server.asked.clear()
    assert {each.name: each.state for each in fetch().files}["val.zip"] == "new"
    assert published.asked == ["val.zip"]
    assert len(list((tmp_path / "data/photos/val").rglob("*.jpg"))) == 8


def test_without_dest_it_lies_where_configs_look_for_it(
    fetch: Fetch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert fetch(dest=None).root == tmp_path / "data" / "photos"


def test_archives_stay_where_that_is_asked_for_and_serve_as_a_mirror(
    fetch: Fetch, tmp_path: Path, published: Any, settings: Settings
) -> None:
    fetch(keeps_archives=True)
    kept = tmp_path / "data" / ".archives"
    assert sorted(path.name for path in kept.iterdir()) == ["train.tar.gz", "val.zip"]
    (kept / "splits.txt").write_bytes(published.bodies["splits.txt"])
    published.server.asked.clear()
    offline = replace(settings, offline=True)
    fetch(dest=tmp_path / "other", settings=offline, mirrors={"*": kept.as_uri()})
    assert published.asked == []
    assert seen(tmp_path / "other") == seen(tmp_path / "data")


def test_offline_without_the_files_is_an_error_that_names_one(fetch: Fetch, settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(NetworkError) as caught:
        fetch(settings=replace(settings, offline=True))
    assert caught.value.code == "offline"
    assert "train.tar.gz" in caught.value.message
    assert seen(tmp_path / "data") == {}


def test_a_second_address_helps_where_the_first_does_not_answer(fetch: Fetch, published: Any) -> None:
    published.entries[0]["urls"].insert(0, "http://127.0.0.1:9/train.tar.gz")
    published.write()
    notes: list[str] = []
    assert fetch(parts=["train"], note=notes.append).is_new
    assert any("trying" in note and published.server.address in note for note in notes)


@pytest.mark.parametrize("kind", ["sha256", "md5"])
def test_wrong_bytes_are_refused_and_leave_nothing(kind: str, fetch: Fetch, published: Any, tmp_path: Path) -> None:
    entry = published.entries[0]
    right = hashlib.new(kind, published.bodies["train.tar.gz"]).hexdigest()
    entry.pop("sha256")
    entry[kind] = right
    published.write()
    assert fetch(parts=["train"]).files[0].check == kind
    shutil.rmtree(tmp_path / "data")
    shutil.rmtree(tmp_path / "cache", ignore_errors=True)  # what it hashed to at first use
    body = bytearray(published.bodies["train.tar.gz"])
    body[len(body) // 2] ^= 1
    (published.served / "train.tar.gz").write_bytes(bytes(body))
    with pytest.raises(IntegrityError) as caught:
        fetch(parts=["train"])
    assert caught.value.code == "hash-mismatch"
    assert f"{kind} expected {right}" in caught.value.causes
    assert seen(tmp_path / "data") == {}
    assert list(tmp_path.rglob("train.tar.gz*")) == [published.served / "train.tar.gz"]


def test_a_file_without_hash_says_so_and_is_pinned_at_first_use(fetch: Fetch, published: Any, tmp_path: Path) -> None:
    entry = published.entries[0]
    del entry["sha256"]
    entry["unchecked"] = "no hash is published"
    entry["size"] = None
    published.write()
    notes: list[str] = []
    assert fetch(parts=["train"], note=notes.append).files[0].check == "none"
    assert "`train.tar.gz`: not checked (no hash is published); its SHA-256 is remembered" in notes
    (published.served / "train.tar.gz").write_bytes(published.bodies["val.zip"])
    with pytest.raises(IntegrityError) as caught:
        fetch(parts=["train"], dest=tmp_path / "another machine's folder")
    pinned = hashlib.sha256(published.bodies["train.tar.gz"]).hexdigest()
    assert caught.value.causes[0] == f"sha256 expected {pinned}"
    assert seen(tmp_path / "another machine's folder") == {}


def test_what_somebody_put_there_by_hand_is_left_as_it_is(fetch: Fetch, published: Any, tmp_path: Path) -> None:
    own = tmp_path / "data" / "photos" / "train" / "a" / "mine.jpg"
    own.parent.mkdir(parents=True)
    own.write_bytes(b"mine")
    notes: list[str] = []
    states = {each.name: each.state for each in fetch(note=notes.append).files}
    assert states == {"train.tar.gz": "kept", "val.zip": "new", "splits.txt": "new"}
    assert "train.tar.gz" not in published.asked
    assert list((tmp_path / "data/photos/train").rglob("*.jpg")) == [own]
    assert any("left as it is, not checked" in note for note in notes)


def test_a_file_in_the_way_is_never_overwritten(fetch: Fetch, published: Any, tmp_path: Path) -> None:
    published.entries[1]["gives"] = ["photos/val/a/0.jpg", "photos/val/b/3.jpg"]
    published.write()
    own = tmp_path / "data" / "photos" / "val" / "a" / "0.jpg"
    own.parent.mkdir(parents=True)
    own.write_bytes(b"mine")
    with pytest.raises(MimctlError) as caught:
        fetch(parts=["val"])
    assert caught.value.code == "data-in-the-way"
    assert seen(tmp_path / "data") == {"photos/val/a/0.jpg": b"mine"}
    own.unlink()
    published.server.asked.clear()
    fetch(parts=["val"])
    assert published.asked == ["splits.txt"], "what was unpacked is moved, not fetched again"
    assert len(list((tmp_path / "data/photos/val").rglob("*.jpg"))) == 8


def test_two_archives_fill_one_folder_and_may_hold_the_same_file(fetch: Fetch, published: Any, tmp_path: Path) -> None:
    folder = tmp_path / "more"
    folder.mkdir()
    shutil.unpack_archive(published.served / "train.tar.gz", folder)
    (folder / "photos" / "train" / "a" / "99.jpg").write_bytes(b"one more")
    shutil.make_archive(str(tmp_path / "more"), "tar", folder)
    published.add("more", "more.tar", (tmp_path / "more.tar").read_bytes(), ["photos/train/a/99.jpg"])
    fetch()
    assert len(list((tmp_path / "data/photos/train").rglob("*.jpg"))) == 19
    assert hidden(tmp_path / "data") == {".mimctl-data.json"}


def test_archives_inside_an_archive_are_unpacked_too(fetch: Fetch, published: Any, tmp_path: Path) -> None:
    folder = tmp_path / "outer"
    (folder / "set").mkdir(parents=True)
    shutil.copy(published.served / "train.tar.gz", folder / "set" / "pictures.tar.gz")
    shutil.make_archive(str(tmp_path / "outer"), "zip", folder)
    body = (tmp_path / "outer.zip").read_bytes()
    published.add("outer", "outer.zip", body, ["set/photos/train"], inner=["set/pictures.tar.gz"])
    fetch(parts=["outer"])
    assert len(list((tmp_path / "data/set/photos/train").rglob("*.jpg"))) == 18
    assert not (tmp_path / "data/set/pictures.tar.gz").exists()


def test_an_archive_that_holds_something_else_is_an_error(fetch: Fetch, published: Any, tmp_path: Path) -> None:
    published.entries[0]["gives"] = ["photos/train", "photos/labels.csv"]
    published.write()
    with pytest.raises(IntegrityError) as caught:
        fetch(parts=["train"])
    assert (caught.value.code, caught.value.causes) == ("bad-archive", ("it does not hold `photos/labels.csv`",))
    assert list((tmp_path / "data").iterdir()) == [tmp_path / "data" / ".archives"]
    assert list((tmp_path / "data" / ".archives").iterdir()) == []


def test_an_unchecked_archive_that_turned_out_bad_is_not_pinned(fetch: Fetch, published: Any) -> None:
    entry = published.entries[0]
    del entry["sha256"], entry["size"]
    entry["unchecked"] = "no hash is published"
    published.write()
    (published.served / "train.tar.gz").write_bytes(b"try again later")
    with pytest.raises(IntegrityError) as caught:
        fetch(parts=["train"])
    assert caught.value.code == "bad-archive"
    (published.served / "train.tar.gz").write_bytes(published.bodies["train.tar.gz"])
    assert fetch(parts=["train"]).is_new


def test_a_disk_that_fills_up_while_unpacking_keeps_the_archive_and_no_half_folder(
    fetch: Fetch, published: Any, tmp_path: Path
) -> None:
    big = {f"photos/train/{n}.jpg": bytes(100_000) for n in range(60)}
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, picture in big.items():
            info = tarfile.TarInfo(name)
            info.size = len(picture)
            archive.addfile(info, io.BytesIO(picture))
    published.entries[0].update(size=len(packed.getvalue()), sha256=hashlib.sha256(packed.getvalue()).hexdigest())
    published.write()
    (published.served / "train.tar.gz").write_bytes(packed.getvalue())
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(small)], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip("a small file system cannot be mounted here")
    try:
        with pytest.raises(MimctlError) as caught:
            fetch(parts=["train"], dest=small)
        assert caught.value.code == "disk-full"
        assert {path.relative_to(small).as_posix() for path in small.rglob("*")} == {
            ".archives",
            ".archives/train.tar.gz",
        }
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_a_hostile_archive_is_refused_though_its_hash_is_right(fetch: Fetch, published: Any, tmp_path: Path) -> None:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("../../evil"))
    published.add("bad", "bad.tar", stream.getvalue(), ["evil"])
    with pytest.raises(UnsafeFileError):
        fetch(parts=["bad"])
    assert seen(tmp_path / "data") == {}
    assert not any(path.name == "evil" for path in tmp_path.rglob("*"))


def test_room_is_looked_at_before_the_first_byte(fetch: Fetch, published: Any, tmp_path: Path) -> None:
    published.entries[0]["size"] = 1 << 60
    published.write()
    with pytest.raises(MimctlError) as caught:
        fetch()
    assert caught.value.code == "disk-full"
    assert published.asked == []


RUN = """
import sys
from pathlib import Path
from mimctl.settings import Settings
from mimctl.zoo.datasets.fetch import fetch_data_set
from mimctl.zoo.datasets.table import read_data_set

settings = Settings(cache_dir=Path(sys.argv[3]), home=Path(sys.argv[3]), http_timeout_s=60.0, http_retries=1)
found = fetch_data_set(read_data_set(Path(sys.argv[1])), dest=Path(sys.argv[2]), settings=settings)
print(sum(each.state == "new" for each in found.files))
"""


def started(published: Any, dest: Path, cache: Path) -> subprocess.Popen[str]:
    argv = [sys.executable, "-c", RUN, str(published.description), str(dest), str(cache)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(argv, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_two_processes_for_one_folder_bring_each_file_once(published: Any, tmp_path: Path) -> None:
    running = [started(published, tmp_path / "data", tmp_path / f"cache{number}") for number in range(2)]
    counts = []
    for each in running:
        out, err = each.communicate(timeout=240)
        assert each.returncode == 0, err
        counts.append(int(out))
    assert sorted(counts) == [0, 3]
    assert sorted(published.asked) == ["splits.txt", "train.tar.gz", "val.zip"]


def test_killed_at_any_moment_no_half_folder_is_under_the_final_name_and_the_next_run_completes(
    published: Any, tmp_path: Path
) -> None:
    many = {f"photos/train/{kind}/{n}.jpg": random.Random(n).randbytes(2000) for kind in "ab" for n in range(1500)}
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz", compresslevel=1) as archive:
        for name, picture in many.items():
            info = tarfile.TarInfo(name)
            info.size = len(picture)
            archive.addfile(info, io.BytesIO(picture))
    body = packed.getvalue()
    (published.served / "train.tar.gz").write_bytes(body)
    published.entries[0].update(size=len(body), sha256=hashlib.sha256(body).hexdigest())
    published.write()
    data = tmp_path / "data"
    half = data / ".unpacking-train.tar.gz" / "photos" / "train" / "a"
    was_unpacking = 0
    for attempt in range(3):
        running = started(published, data, tmp_path / "cache")
        while running.poll() is None:
            if half.is_dir() and len(list(half.iterdir())) > 150 * (attempt + 1):
                was_unpacking += 1
                break
            time.sleep(0.002)
        running.send_signal(signal.SIGKILL)
        running.communicate(timeout=240)
        final = data / "photos" / "train"
        assert not final.exists() or len(list(final.rglob("*.jpg"))) == len(many)
    last = started(published, data, tmp_path / "cache")
    _out, err = last.communicate(timeout=240)
    assert last.returncode == 0, err
    assert was_unpacking
    there = seen(data)
    assert {name: there[name] for name in many} == many
    assert hidden(data) <= {".mimctl-data.json"}


def test_a_broken_transfer_goes_on_where_it_stopped(fetch: Fetch, published: Any, tmp_path: Path) -> None:
    body = published.bodies["train.tar.gz"]
    part = tmp_path / "data" / ".archives" / "train.tar.gz.part"
    part.parent.mkdir(parents=True)

    def cut(handler: Any) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(body)))
        handler.send_header("ETag", '"one"')
        handler.end_headers()
        handler.wfile.write(body[:1000])

    ranges: list[str | None] = []

    def rest(handler: Any) -> None:
        ranges.append(handler.headers.get("Range"))
        handler.send_response(206)
        handler.send_header("Content-Length", str(len(body) - 1000))
        handler.send_header("Content-Range", f"bytes 1000-{len(body) - 1}/{len(body)}")
        handler.send_header("ETag", '"one"')
        handler.end_headers()
        handler.wfile.write(body[1000:])

    published.server.tricks["/train.tar.gz"] = cut
    with pytest.raises(NetworkError):
        fetch(parts=["train"])
    assert part.stat().st_size == 1000
    published.server.tricks["/train.tar.gz"] = rest
    fetch(parts=["train"])
    assert ranges == ["bytes=1000-"]
    assert len(list((tmp_path / "data/photos/train").rglob("*.jpg"))) == 18


def test_a_record_that_cannot_be_read_costs_nothing(fetch: Fetch, tmp_path: Path, published: Any) -> None:
    fetch()
    (tmp_path / "data" / ".mimctl-data.json").write_text("{", encoding="utf-8")
    published.server.asked.clear()
    assert {each.state for each in fetch().files} == {"kept"}
    assert published.asked == []


def test_the_record_names_no_secret_of_an_address(fetch: Fetch, tmp_path: Path, published: Any) -> None:
    published.entries[0]["urls"] = [
        published.entries[0]["urls"][0].replace("http://", "http://me:secret@") + "?token=secret"
    ]
    published.write()
    fetch()
    text = (tmp_path / "data" / ".mimctl-data.json").read_text(encoding="utf-8")
    assert "secret" not in text
    assert json.loads(text)["done"]["photos/train.tar.gz"]["sha256"] == published.entries[0]["sha256"]

"""The cache: private, hashed at each use, shared only through copies; what prune and clean may take."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from mimctl.errors import MimctlError
from mimctl.transfer import TransferSettings, cache, download, storage
from mimctl.transfer.cache import clean, contents, mark_used, open_cache, prune
from mimctl.transfer.exclusive import Lock, holding
from mimctl.transfer.owner import this_process

BODY = b"wheel" * 1000
SHA = hashlib.sha256(BODY).hexdigest()
ROOT = Path(__file__).resolve().parents[2]
DAY_S = 24 * 3600


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a cache with a file of each kind, none of them used for 100 days."""
    made = tmp_path / "cache"
    for name in (
        f"wheels/{SHA}/a-1-py3-none-any.whl",
        f"weights/{SHA}/w.pth",
        "weights/incoming/x/w.pth.part",
        "weights/incoming/x/w.pth.part.json",
        "weights/by-url/1.json",
        "pages/00ff",
        "published/a.json",
        "mine.txt",
    ):
        (made / name).parent.mkdir(parents=True, exist_ok=True)
        (made / name).write_bytes(b"x" * 10)
        os.utime(made / name, (time.time() - 100 * DAY_S,) * 2)
    return made


def names(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


KEPT_ALWAYS = {"weights/by-url/1.json", "published/a.json", "mine.txt"}


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_a_new_cache_is_private(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        open_cache(tmp_path / "a" / "cache")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a" / "cache").stat().st_mode) == 0o700


def test_others_may_no_longer_write_and_that_is_said(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    said: list[str] = []
    open_cache(tmp_path, said.append)
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755
    assert "others could write" in said[0]
    open_cache(tmp_path, said.append)
    assert len(said) == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_cache_of_somebody_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    os.chown(tmp_path / "cache", 12345, -1)
    with pytest.raises(MimctlError) as caught:
        open_cache(tmp_path / "cache")
    assert caught.value.code == "cache-not-private"


def test_a_cache_that_cannot_be_made_is_no_error_yet(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    open_cache(tmp_path / "file" / "cache")


def test_a_poisoned_file_is_replaced_and_that_is_said(server: Any, tmp_path: Path, quick: TransferSettings) -> None:
    server.files["/a.whl"] = BODY
    dest = tmp_path / SHA / "a.whl"
    dest.parent.mkdir()
    dest.write_bytes(b"evil" * 1250)
    said: list[str] = []
    download(server.address + "/a.whl", dest, sha256=SHA, settings=quick, note=said.append)
    assert dest.read_bytes() == BODY
    assert any("not what its hash says" in line for line in said)


def with_shared(folder: Path) -> TransferSettings:
    return TransferSettings(timeout_s=30, retries=0, shared_cache=folder)


@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_a_shared_cache_serves_others_under_any_umask(server: Any, tmp_path: Path, umask: int) -> None:
    server.files["/a.whl"] = BODY
    shared = tmp_path / "shared"
    before = os.umask(umask)
    try:
        download(server.address + "/a.whl", tmp_path / "one" / "a.whl", sha256=SHA, settings=with_shared(shared))
    finally:
        os.umask(before)
    kept = shared / SHA / "a.whl"
    assert kept.read_bytes() == BODY
    modes = [stat.S_IMODE(each.stat().st_mode) for each in (shared, kept.parent, kept)]
    assert modes == [0o2775, 0o2775, 0o664]
    offline = TransferSettings(offline=True, shared_cache=shared)
    for settings in (with_shared(shared), offline):
        dest = tmp_path / f"two-{settings.offline}" / "a.whl"
        download(server.address + "/a.whl", dest, sha256=SHA, settings=settings)
        assert dest.read_bytes() == BODY
        assert dest.stat().st_ino != kept.stat().st_ino, "its owner could change it after it was hashed"
    assert len(server.requests) == 1


def _other_bytes(path: Path) -> None:
    path.write_bytes(b"evil" * 1250)


def _longer(path: Path) -> None:
    path.write_bytes(BODY + b"x")


def _a_link(path: Path) -> None:
    real = path.with_name("real")
    real.write_bytes(BODY)
    path.symlink_to(real)


def _a_pipe(path: Path) -> None:
    os.mkfifo(path)


@pytest.mark.parametrize("poison", [_other_bytes, _longer, _a_link, _a_pipe])
def test_nothing_in_a_shared_cache_is_believed(server: Any, tmp_path: Path, poison: Any) -> None:
    server.files["/a.whl"] = BODY
    kept = tmp_path / "shared" / SHA / "a.whl"
    kept.parent.mkdir(parents=True)
    poison(kept)
    said: list[str] = []
    dest = download(
        server.address + "/a.whl",
        tmp_path / "own" / "a.whl",
        sha256=SHA,
        size=len(BODY),
        settings=with_shared(tmp_path / "shared"),
        note=said.append,
    )
    assert dest.read_bytes() == BODY
    assert "shared cache is not what its name says" in said[0]
    assert (kept.is_symlink(), kept.read_bytes()) == (False, BODY), "it is put right for the others"
    assert sorted(path.name for path in dest.parent.iterdir()) == ["a.whl"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
@pytest.mark.parametrize("where", ["write", "close", "fsync"])
def test_a_full_disk_or_quota_is_seen_wherever_it_is_told(
    server: Any, tmp_path: Path, quick: TransferSettings, monkeypatch: pytest.MonkeyPatch, where: str, number: int
) -> None:
    server.files["/a.whl"] = BODY
    real = storage._open

    def fail(*_: object) -> None:
        raise OSError(number, "no room")

    class Full:
        def __init__(self, inner: Any) -> None:
            self.inner = inner

        def __enter__(self) -> Full:
            return self

        def __exit__(self, *exc: object) -> None:
            self.inner.close()
            if where == "close" and exc[0] is None:
                fail()

        def __getattr__(self, name: str) -> Any:
            return fail if name == where else getattr(self.inner, name)

    monkeypatch.setattr(storage, "_open", lambda *args: Full(real(*args)))
    if where == "fsync":
        monkeypatch.setattr(storage.os, "fsync", fail)
    with pytest.raises(MimctlError) as caught:
        download(server.address + "/a.whl", tmp_path / "a.whl", sha256=SHA, settings=quick)
    assert caught.value.code == "disk-full"
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(MimctlError) as caught:
        storage.write_file(tmp_path / "small", b"x")
    assert caught.value.code == "disk-full"
    assert list(tmp_path.iterdir()) == []


def test_prune_takes_what_is_old_and_keeps_what_was_used(folder: Path) -> None:
    mark_used(folder / "weights" / SHA / "w.pth")
    gone = prune(folder, days=30, is_dry_run=True)
    assert {each.kind for each in gone} == {"wheels", "weights", "pages"}
    assert len(names(folder)) == 8, "a dry run removes nothing"
    assert prune(folder, days=30) == gone
    assert names(folder) == {f"weights/{SHA}/w.pth", *KEPT_ALWAYS}
    assert not (folder / "wheels" / SHA).exists()


def test_fetching_again_counts_as_use(server: Any, folder: Path, quick: TransferSettings) -> None:
    dest = folder / "wheels" / SHA / "b.whl"
    dest.write_bytes(BODY)
    os.utime(dest, (time.time() - 100 * DAY_S,) * 2)
    written = dest.stat().st_mtime
    download(server.address + "/b.whl", dest, sha256=SHA, settings=quick)
    prune(folder, days=30)
    assert dest.stat().st_mtime == written


def test_partial_files_go_after_a_day_unless_somebody_writes_them(folder: Path) -> None:
    part = folder / "weights" / "incoming" / "x" / "w.pth.part"
    for each in (part, part.with_name("w.pth.part.json")):
        os.utime(each, (time.time() - 2 * DAY_S,) * 2)
    lock = Lock(folder=part.parent, name=".w.pth.lock", doing="", code="file-locked")
    with holding(lock, pytest.fail):
        prune(folder, days=30)
        assert part.exists()
    prune(folder, days=30)
    assert not part.exists()


def test_clean_takes_all_but_what_hashes_are_known_by(folder: Path) -> None:
    assert {each.kind for each in clean(folder, kinds=["pages"])} == {"pages"}
    clean(folder)
    assert names(folder) == KEPT_ALWAYS


def test_a_link_out_of_the_cache_is_not_followed(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "x").write_bytes(b"mine")
    (folder / "wheels" / "link").symlink_to(tmp_path / "outside")
    clean(folder)
    assert (tmp_path / "outside" / "x").read_bytes() == b"mine"


def test_what_a_running_process_uses_stays(folder: Path) -> None:
    used = folder / "wheels" / SHA / "a-1-py3-none-any.whl"
    script = (
        "import sys, pathlib\nfrom mimctl.transfer.cache import mark_used, open_cache\n"
        "open_cache(pathlib.Path(sys.argv[1]))\nmark_used(pathlib.Path(sys.argv[2]))\n"
        "print('ready', flush=True)\nsys.stdin.read()\n"
    )
    argv = [sys.executable, "-c", script, str(folder), str(used)]
    process = subprocess.Popen(argv, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        clean(folder)
        assert names(folder) - {each for each in names(folder) if each.startswith("in-use")} == {
            str(used.relative_to(folder)),
            *KEPT_ALWAYS,
        }
    finally:
        process.communicate()
    assert not list((folder / "in-use").iterdir()), "a process that ends forgets itself"
    clean(folder)
    assert names(folder) == KEPT_ALWAYS


@pytest.mark.parametrize(("facts", "stays"), [({"pid": 1, "started": "never"}, False), ({"host": "node7"}, True)])
def test_the_dead_use_nothing_and_other_hosts_may(folder: Path, facts: dict[str, object], stays: bool) -> None:
    used = folder / "wheels" / SHA / "a-1-py3-none-any.whl"
    (folder / "in-use").mkdir()
    (folder / "in-use" / "other.json").write_text(json.dumps({**this_process().to_dict(), **facts}))
    mark_used(used)
    clean(folder)
    assert used.exists() is stays


def test_a_command_that_begins_waits_for_a_removal(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = (
        "import sys, pathlib\nfrom mimctl.transfer.cache import open_cache\nopen_cache(pathlib.Path(sys.argv[1]))\n"
    )
    with holding(cache._removal(folder), pytest.fail):
        process = subprocess.Popen([sys.executable, "-c", script, str(folder)], cwd=ROOT)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(1.5)
    assert process.wait(240) == 0


def test_contents_of_no_cache_are_none(tmp_path: Path) -> None:
    assert list(contents(tmp_path / "none")) == []
    assert prune(tmp_path / "none", days=1) == []

"""Building again: the same bytes whatever the circumstances, nothing read twice, nothing left behind."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from static_server import tree
from tiny_wheels import write_ops_wheel, write_wheel

from mimctl.errors import IntegrityError
from mimctl.site import shelf
from mimctl.site.build import SiteReport
from mimctl.site.swap import replacing

Build = Callable[..., SiteReport]


@pytest.fixture
def wheels(tmp_path: Path) -> Path:
    folder = tmp_path / "wheels"
    for backend, version in (("cu13", "0.1.0"), ("cu13", "0.1.0+cu13"), ("cpu", "0.1.0+cpu"), ("python", "0.1.0")):
        write_ops_wheel(folder, backend, version=version)
    for version in ("0.9.0", "0.10.0", "1.0", "1.0.0"):
        write_wheel(folder, f"mimctl_det-{version}-py3-none-any.whl")
    settle()
    return folder


def settle() -> None:
    """Wait until a file that was just written counts as one that changes no more."""
    time.sleep(0.12)


@pytest.fixture
def read_names(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the wheels that are read and audited from now on."""
    names: list[str] = []
    real = shelf.read_entry

    def reading(path: Path) -> object:
        names.append(path.name)
        return real(path)

    monkeypatch.setattr(shelf, "read_entry", reading)
    return names


def test_order_times_modes_and_umask_leave_no_trace(build: Build, wheels: Path, tmp_path: Path) -> None:
    build(tmp_path / "one", wheels, cache=None)
    for number, path in enumerate(sorted(wheels.iterdir(), reverse=True)):
        other = tmp_path / f"other{number % 2}" / path.name
        other.parent.mkdir(exist_ok=True)
        other.write_bytes(path.read_bytes())
        os.utime(other, (number, number))
        other.chmod(0o600)
    old = os.umask(0o077)
    try:
        build(tmp_path / "deep/two", tmp_path / "other1", tmp_path / "other0", cache=None)
    finally:
        os.umask(old)
    assert tree(tmp_path / "one") == tree(tmp_path / "deep/two")
    for path in [tmp_path / "deep/two", *(tmp_path / "deep/two").rglob("*")]:
        assert stat.S_IMODE(path.stat().st_mode) == (0o755 if path.is_dir() else 0o644), path


def test_only_what_is_new_is_read(build: Build, wheels: Path, tmp_path: Path, read_names: list[str]) -> None:
    site = tmp_path / "site"
    build(site, wheels)
    assert sorted(read_names) == sorted(path.name for path in wheels.iterdir())
    read_names.clear()
    build(site, wheels)
    assert read_names == []
    new = write_wheel(wheels, "mimctl_det-2.0-py3-none-any.whl")
    build(site, wheels)
    assert read_names == [new.name]
    build(tmp_path / "fresh", wheels, cache=None)
    assert tree(site) == tree(tmp_path / "fresh"), "what was remembered makes no difference"


def test_a_wheel_that_changed_in_place_is_seen(build: Build, wheels: Path, tmp_path: Path) -> None:
    path = wheels / "mimctl_det-1.0-py3-none-any.whl"
    build(tmp_path / "site", wheels)
    times = path.stat()
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))  # the same size …
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))  # … and the same time
    with pytest.raises(IntegrityError) as caught:
        build(tmp_path / "site", wheels)
    assert caught.value.code == "duplicate-wheel"


def test_a_file_that_changed_in_the_index_is_mended(build: Build, wheels: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    build(site, wheels)
    before = tree(site)
    for name in ("mimctl_det-1.0-py3-none-any.whl", "mimctl_det-0.9.0-py3-none-any.whl.metadata", "../index.html"):
        (site / "files" / name).write_bytes(b"tampered")
    build(site, wheels)
    assert tree(site) == before


def test_a_memory_that_is_none_is_forgotten(build: Build, wheels: Path, tmp_path: Path, read_names: list[str]) -> None:
    site = tmp_path / "site"
    build(site, wheels)
    (kept,) = (tmp_path / "cache/site").glob("*.json")
    text = kept.read_text(encoding="utf-8")
    for wrong in ("", "[]", "{", "null", text.replace('"format": 1', '"format": 0'), text.replace("[", "[null, ")):
        read_names.clear()
        kept.write_text(wrong, encoding="utf-8")
        build(site, wheels)
        assert len(read_names) == len(list(wheels.iterdir())), wrong[:20]


def test_a_killed_build_leaves_nothing_for_ever(build: Build, wheels: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    build(site, wheels)
    before = tree(site)
    code = (
        "import sys, time; from pathlib import Path; from mimctl.site.swap import replacing\n"
        "with replacing(Path(sys.argv[1])) as root:\n"
        "    (root / 'half').touch(); print('made', flush=True); time.sleep(900)\n"
    )
    child = subprocess.Popen([sys.executable, "-c", code, str(site)], stdout=subprocess.PIPE)
    assert child.stdout is not None
    assert child.stdout.readline() == b"made\n"
    live = tmp_path / f".site.{child.pid}.new"
    build(site, wheels)
    assert (live / "half").exists(), "a build that is alive keeps its folder"
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdout.close()
    (tmp_path / ".site.notes.new").mkdir()
    build(site, wheels)
    assert not live.exists()
    assert (tmp_path / ".site.notes.new").exists(), "what is not ours stays"
    assert tree(site) == before


def test_an_index_that_was_set_aside_comes_back(tmp_path: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", "pass"])
    child.wait()
    aside = tmp_path / f".site.{child.pid}.old"
    aside.mkdir()
    (aside / "index.json").touch()
    with pytest.raises(ValueError, match="stop"), replacing(tmp_path / "site"):
        raise ValueError("stop")
    assert [path.name for path in tmp_path.iterdir()] == ["site"]
    assert (tmp_path / "site/index.json").exists()


def test_builds_at_a_time_wait_for_each_other(wheels: Path, tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "mimctl", "index", "build", "--out", str(tmp_path / "site"), "--wheels", str(wheels)]
    environment = {**os.environ, "MIMCTL_CACHE_DIR": str(tmp_path / "cache")}
    running = [subprocess.Popen(argv, cwd=tmp_path, env=environment, stderr=subprocess.PIPE) for _ in range(4)]
    for each in running:
        _, err = each.communicate(timeout=240)
        assert each.returncode == 0, err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache", "site", "wheels"]

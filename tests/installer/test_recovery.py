"""What `doctor --fix` removes, brings back and leaves alone; and what happens where the disk says no."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from patience import wait_until

from mimctl.environment.detect import detect
from mimctl.errors import MimctlError
from mimctl.installer.model import Change
from mimctl.installer.operators import check_operators
from mimctl.installer.prepare import check_writable
from mimctl.installer.transaction import recovery
from mimctl.installer.transaction.change import check_finished, undone_on_failure
from mimctl.installer.transaction.exclusive import only_one
from mimctl.installer.transaction.in_use import check_unused
from mimctl.installer.transaction.journal import clear, find_journal, leftovers
from mimctl.installer.transaction.recovery import repair

ROOT = Path(__file__).resolve().parents[2]
KILLED = """
import os, signal, subprocess, sys
from pathlib import Path
from mimctl.environment.detect import detect
from mimctl.installer.transaction.exclusive import only_one
from mimctl.installer.transaction.change import undone_on_failure
env = detect(Path(sys.argv[1]))
installer, asked = sys.argv[2], sys.argv[3].split(",")
names = frozenset(asked)
written = frozenset(f"{env.paths.purelib}/{name}.py" for name in asked)
with only_one(env, print), undone_on_failure(
    env, changing=names, written=written, what="install it", installer=installer
):
    subprocess.run(sys.argv[4:], check=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


class Place:
    """An environment without pip, and wheels to put there with uv."""

    def __init__(self, folder: Path, uv: Path, write_wheel):
        self.write_wheel = write_wheel
        self.uv, self.wheels, self.venv = uv, folder / "wheels", folder / "venv"
        subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, self.venv], check=True)
        self.site = next(self.venv.glob("lib/python*/site-packages"))

    @property
    def env(self):
        return detect(self.venv)

    def wheel(self, name, version="1.0", files=None, requires=()):
        """Write a wheel; its module says which version it is."""
        return self.write_wheel(
            self.wheels, name, version, files or {f"{name}.py": f"v = {version!r}\n"}, requires=requires
        )

    def put(self, *wheels: Path) -> None:
        subprocess.run(self.installs(*wheels), check=True)

    def installs(self, *wheels: Path) -> list[str]:
        """Return the command that installs wheels."""
        argv = [self.uv, "pip", "install", "--quiet", "--no-index", "--no-deps", "--reinstall"]
        return [*map(str, argv), "--python", str(self.venv), *map(str, wheels)]

    def kill(self, asked: str, argv: list[str], installer: str = "uv") -> None:
        """Begin a change in another process, let it run a command, and kill it."""
        whole = [sys.executable, "-c", KILLED, self.venv, installer, asked, *argv]
        assert subprocess.run(whole, cwd=ROOT).returncode == -9

    def age(self, seconds: float = 60) -> None:
        """Let what the killed change did lie back in time."""
        limit = time.time() - seconds
        for path in [*self.venv.rglob("*"), find_journal([self.site]) / "pulse"]:
            os.utime(path, (limit, limit), follow_symlinks=False)

    def tree(self) -> dict[str, bytes]:
        files = [each for each in self.venv.rglob("*") if each.is_file() and each.suffix != ".pyc"]
        return {str(each.relative_to(self.venv)): each.read_bytes() for each in sorted(files)}

    def says(self, code: str) -> str:
        argv = [self.venv / "bin/python", "-B", "-P", "-c", code]
        return subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def place(tmp_path, monkeypatch, wheel_writer):
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv-cache"))
    beside = Path(sys.executable).with_name("uv")
    return Place(tmp_path, beside if beside.exists() else Path(shutil.which("uv")), wheel_writer)


@pytest.fixture
def killed(place):
    """An environment in which an upgrade of `old` that brings `new` and `needed` was killed."""
    place.put(place.wheel("old"), place.wheel("bystander"))
    place.before = place.tree()
    brought = [place.wheel("old", "2.0"), place.wheel("new"), place.wheel("needed")]
    place.kill("old,new,needed", place.installs(*brought))
    assert "site-packages/new.py" in " ".join(place.tree())
    return place


def test_a_killed_change_is_refused_then_undone_once(killed):
    with pytest.raises(MimctlError) as caught:
        check_finished(killed.env)
    assert caught.value.code == "killed-install"
    assert caught.value.causes[0].startswith("`install it` by process ")
    done = repair(killed.env, pytest.fail)
    assert done.removed == ("needed 1.0", "new 1.0", "old 2.0")
    assert (done.restored, done.left) == (("old",), ())
    assert killed.tree() == killed.before
    check_finished(killed.env)
    assert repair(killed.env, pytest.fail) is None


@pytest.mark.parametrize("when", ["at once", "later"])
@pytest.mark.parametrize("with_what", ["pip", "uv"])
def test_what_was_installed_after_the_crash_survives(killed, when, with_what):
    if when == "later":
        killed.age()
    foo = killed.wheel("foo", files={"foo/__init__.py": "import needed\n", "foo/data.txt": "x"}, requires=["needed"])
    if with_what == "uv":
        killed.put(foo)
    else:
        argv = [sys.executable, "-m", "pip", "--python", str(killed.venv / "bin/python"), "install", "--quiet"]
        subprocess.run([*argv, "--no-index", "--no-deps", str(foo)], check=True)
    killed.says("import foo")
    there = {path: data for path, data in killed.tree().items() if "foo" in path}
    done = repair(killed.env, pytest.fail)
    assert done.left == ("foo 1.0", "needed 1.0"), "what foo needs stays too"
    assert done.removed == ("new 1.0", "old 2.0")
    after = killed.tree()
    assert {path: data for path, data in after.items() if "foo" in path} == there
    rest = {path: data for path, data in after.items() if "foo" not in path and "needed" not in path}
    assert rest == killed.before
    assert killed.says("import foo, old; print(old.v)") == "1.0"


def test_a_version_that_somebody_chose_after_the_crash_stays(killed):
    killed.age()
    killed.put(killed.wheel("old", "3.0"), killed.wheel("bystander", "2.0"))
    done = repair(killed.env, pytest.fail)
    assert done.left == ("bystander 2.0", "old 3.0")
    assert killed.says("import old, bystander; print(old.v, bystander.v)") == "3.0 2.0"
    assert not (killed.site / "old-1.0.dist-info").exists()
    assert not (killed.site / "new.py").exists()


def test_a_file_that_was_put_there_by_hand_after_the_crash_stays(killed, tmp_path):
    killed.age()
    (killed.site / "half").mkdir()
    (killed.site / "half" / "written.py").touch()
    (killed.site / "half").touch()
    old = tmp_path / "mine"
    old.mkdir()
    (old / "notes.py").write_text("x = 1\n")
    os.utime(old / "notes.py", (1, 1))
    os.utime(old, (1, 1))
    subprocess.run(["cp", "-a", old, killed.site / "mine"], check=True)
    repair(killed.env, pytest.fail)
    assert (killed.site / "mine" / "notes.py").exists(), "old by its own times, new by those of the file system"
    assert (killed.site / "half" / "written.py").exists()
    assert not (killed.site / "new.py").exists()


def test_what_an_installer_left_half_done_goes(place):
    place.put(place.wheel("old"))
    before = place.tree()
    site = place.site
    script = (
        f"mv {site}/old.py {site}/~ld.py; mv {site}/old-1.0.dist-info {site}/~ld-1.0.dist-info;"
        f"mkdir {site}/new-1.0.dist-info {site}/new {site}/empty;"
        f"touch {site}/new/a.py {site}/new-1.0.dist-info/METADATA;"
        f"ln -s {site} {site}/link; echo 'import nothing_there' > {site}/bad.pth"
    )
    place.kill("new,old", ["sh", "-c", script])
    repair(place.env, pytest.fail)
    assert place.tree() == before
    assert sorted(each.name for each in site.iterdir() if each.suffix != ".pyc") == sorted(
        {Path(path).relative_to(site.relative_to(place.venv)).parts[0] for path in before if "site-packages" in path}
    )


def test_a_repair_that_is_killed_anywhere_is_repeated(killed, monkeypatch):
    real, calls = recovery._remove, []

    def dies_at(number):
        def remove(path):
            calls.append(path)
            if len(calls) == number:
                raise KeyboardInterrupt
            real(path)

        return remove

    for number in (1, 2, 3, 5, 8):
        calls.clear()
        monkeypatch.setattr(recovery, "_remove", dies_at(number))
        with pytest.raises(KeyboardInterrupt):
            repair(killed.env, pytest.fail)
        assert find_journal([killed.site]) is not None
        monkeypatch.setattr(recovery, "_remove", real)
    time.sleep(recovery._GRACE_S)
    repair(killed.env, pytest.fail)
    assert killed.tree() == killed.before


def test_what_cannot_be_undone_is_told_and_can_be_repeated(killed, monkeypatch):
    real = recovery._remove

    def refuses(path):
        if path.endswith("new.py"):
            raise OSError(5, "Input/output error", path)
        real(path)

    monkeypatch.setattr(recovery, "_remove", refuses)
    with pytest.raises(MimctlError) as caught:
        repair(killed.env, pytest.fail)
    assert caught.value.code == "killed-install"
    assert caught.value.causes == (f"[Errno 5] Input/output error: '{killed.site / 'new.py'}'",)
    assert "site-packages/old.py" in " ".join(killed.tree())
    monkeypatch.setattr(recovery, "_remove", real)
    repair(killed.env, pytest.fail)
    assert killed.tree() == killed.before


def test_a_moved_environment_is_repaired_where_it_is_now(killed):
    moved = killed.venv.with_name("moved")
    killed.venv.rename(moved)
    killed.venv = moved
    repair(killed.env, pytest.fail)
    assert killed.tree() == killed.before


@pytest.mark.parametrize("place_named", ["../../outside.py", "/etc/outside.py"])
def test_a_journal_that_names_places_outside_is_refused(killed, place_named):
    path = find_journal([killed.site]) / "before.json"
    path.write_text(
        path.read_text().replace(f'"lib/{killed.site.parent.name}/site-packages/old.py"', f'"{place_named}"')
    )
    there = {name: data for name, data in killed.tree().items() if ".mimctl-" not in name}
    with pytest.raises(MimctlError) as caught:
        repair(killed.env, pytest.fail)
    assert (caught.value.code, "is not inside" in caught.value.causes[0]) == ("killed-install", True)
    assert {name: data for name, data in killed.tree().items() if ".mimctl-" not in name} == there


def test_a_projects_own_folders_beside_an_environment_are_not_looked_into(place):
    data = place.venv / "datasets" / "images"
    data.mkdir(parents=True)
    (data / "1.jpg").touch()
    place.kill("x", ["touch", str(data / "2.jpg"), str(place.site / "new.py")])
    repair(place.env, pytest.fail)
    assert {each.name for each in data.iterdir()} == {"1.jpg", "2.jpg"}
    assert not (place.site / "new.py").exists()


def test_a_journal_that_was_never_opened_or_is_done_is_cleared_away(place):
    lib = place.site.parent
    for name in (".mimctl-begun-1", ".mimctl-done-2"):
        (lib / name / "kept").mkdir(parents=True)
    assert len(list(leftovers(lib))) == 2
    clear(lib)
    assert [each.name for each in lib.iterdir()] == ["site-packages"]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the system cannot tie a process to its parent")
def test_an_installer_does_not_outlive_the_mimctl_that_was_killed(tmp_path):
    script = (
        "import os, sys\nfrom mimctl.installer.backends.process import run_installer\n"
        "run_installer(['sh', '-c', 'echo $$ > ' + sys.argv[1] + '; sleep 900'], environ=os.environ, what='wait')\n"
    )
    said = tmp_path / "pid"
    parent = subprocess.Popen([sys.executable, "-c", script, said], cwd=ROOT)
    wait_until(lambda: said.exists() and said.read_text().strip())
    parent.kill()
    parent.wait()
    status = Path(f"/proc/{said.read_text().strip()}/status")
    wait_until(lambda: not status.exists() or "State:\tZ" in status.read_text())


@pytest.fixture
def small_disk(place):
    """Move an environment's libraries onto a file system of four megabytes, where that is permitted."""
    lib = place.site.parent
    kept = lib.with_name("kept")
    lib.rename(kept)
    lib.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", lib], capture_output=True, check=False)
    if mounted.returncode != 0:
        pytest.skip(f"no small file system: {mounted.stderr.decode().strip()}")
    try:
        shutil.copytree(kept, lib, symlinks=True, dirs_exist_ok=True)
        yield place
    finally:
        subprocess.run(["umount", lib], check=True)


def test_a_full_disk_is_undone(small_disk):
    small_disk.put(small_disk.wheel("old"))
    before = small_disk.tree()
    big = small_disk.wheel("big", files={f"big{number}.py": "#" * 1_000_000 for number in range(8)})
    with (
        pytest.raises(subprocess.CalledProcessError),
        only_one(small_disk.env, print),
        undone_on_failure(small_disk.env),
    ):
        subprocess.run(small_disk.installs(small_disk.wheel("old", "2.0"), big), check=True, capture_output=True)
    assert small_disk.tree() == before
    small_disk.kill("big", ["sh", "-c", f"dd if=/dev/zero of={small_disk.site}/zeros bs=64k 2>/dev/null; true"])
    assert shutil.disk_usage(small_disk.site).free == 0
    repair(small_disk.env, pytest.fail)
    assert small_disk.tree() == before


@pytest.mark.parametrize("number", [5, 28, 122], ids=["EIO", "ENOSPC", "EDQUOT"])
def test_a_journal_that_cannot_be_written_stops_everything_before_it_begins(place, monkeypatch, number):
    place.put(place.wheel("old"))
    before = place.tree()

    def refuses(_handle):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", refuses)
    with pytest.raises(OSError, match=os.strerror(number)), only_one(place.env, print), undone_on_failure(place.env):
        pytest.fail("the body ran")
    monkeypatch.undo()
    clear(place.site.parent)
    assert place.tree() == before


def test_the_systems_and_read_only_environments_are_refused(place):
    env = place.env
    systems = replace(env, paths=replace(env.paths, is_virtual=False, externally_managed=True))
    with pytest.raises(MimctlError) as caught:
        check_writable(systems)
    assert (caught.value.code, "PEP 668" in caught.value.causes[0]) == ("closed-environment", True)
    if os.getuid() == 0:
        return  # root may write anywhere
    place.site.chmod(0o555)
    with pytest.raises(MimctlError) as caught:
        check_writable(env)
    place.site.chmod(0o755)
    assert caught.value.code == "no-permission"


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="the system does not tell of mappings")
def test_a_library_that_a_job_has_mapped_is_not_replaced(place):
    library = {"mimctl_ops/__init__.py": "", "mimctl_ops/_C.so": "x" * 5000}
    place.put(place.wheel("mimctl-ops", "1.0+cpu", files=library))
    env = place.env
    change = Change(action="upgrade", name="mimctl-ops", version="2.0", previous="1.0+cpu")
    check_unused(env, [change])
    code = (
        "import mmap, sys\nfile = open(sys.argv[1])\nmap = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)\n"
        "print('mapped', flush=True)\nsys.stdin.read()\n"
    )
    argv = [sys.executable, "-c", code, place.site / "mimctl_ops/_C.so"]
    job = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert job.stdout.readline() == "mapped\n"
    try:
        with pytest.raises(MimctlError) as caught:
            check_unused(env, [change])
        assert caught.value.code == "library-in-use"
        assert caught.value.causes[0].startswith(f"process {job.pid} (python")
        assert f"`kill {job.pid}`" in caught.value.hints[0]
        check_unused(env, [replace(change, previous=None)])
    finally:
        job.communicate("")
    check_unused(env, [change])


def test_operators_that_do_not_load_are_an_error(place):
    answer = 'print(\'{"tier": "failed", "error": "undefined symbol: aoti_torch"}\')\n'
    torch = {"torch/__init__.py": "", "torch/version.py": "__version__ = '2.13.0+cpu'\ncuda = None\nhip = None\n"}
    place.put(place.wheel("torch", "2.13.0+cpu", files=torch))
    place.put(place.wheel("mimctl-ops", files={"mimctl_ops/__init__.py": "", "mimctl_ops/__main__.py": answer}))
    with pytest.raises(MimctlError) as caught:
        check_operators(place.env)
    assert (caught.value.code, caught.value.causes) == ("ops-cannot-load", ("undefined symbol: aoti_torch",))

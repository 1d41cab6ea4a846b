"""`kill -9` at any moment of an installation: `doctor --fix` brings back what was there, and nothing but that.

A tree is every file, link and folder of the environment: path, mode, and the hash of the content or where the link
points. Left out are compiled files (`.pyc`), which Python makes anew from whatever source is there, and the times that
uv notes of a wheel's copy in the cache (`uv_cache.json`).
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mimctl.installer.transaction.change import find_unfinished
from mimctl.installer.transaction.journal import leftovers
from mimctl.installer.transaction.recovery import repair

ROOT = Path(__file__).resolve().parents[2]
WORKER = Path(__file__).with_name("killable.py")


def tree(folder: Path) -> dict[str, tuple[str, str]]:
    """Return what is in a folder (see above)."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix == ".pyc" or path.name in ("__pycache__", "uv_cache.json"):
            continue
        mode = oct(path.lstat().st_mode)
        if path.is_symlink():
            content = f"-> {path.readlink()}"
        else:
            content = hashlib.sha256(_content(path)).hexdigest() if path.is_file() else ""
        found[str(path.relative_to(folder))] = (mode, content)
    return found


def _content(path: Path) -> bytes:
    data = path.read_bytes()
    if path.name != "RECORD":
        return data
    return b"".join(line for line in data.splitlines(keepends=True) if b"uv_cache.json" not in line)


class Worker:
    """A process beside the test whose children install and repair."""

    def __init__(self, bench):
        argv = [sys.executable, str(WORKER), str(bench.venv), bench.site.url, str(bench.cache), bench.choice]
        environ = {**os.environ, "PYTHONPATH": str(ROOT)}
        self.process = subprocess.Popen(
            argv, env=environ, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        assert self._line() == "ready"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()

    def _line(self):
        return self.process.stdout.readline().strip()

    def run(self, what: str, kill_after_s: float | None = None) -> tuple[int, float]:
        """Do one thing in a child, its whole process group killed after a time; return its status and the seconds."""
        self.process.stdin.write(f"{what}\n")
        self.process.stdin.flush()
        child, begun = int(self._line()), time.monotonic()
        if kill_after_s is not None:
            time.sleep(kill_after_s)
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)  # it may not lead a group of its own yet
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child, signal.SIGKILL)
        return int(self._line()), time.monotonic() - begun


def prepare(bench) -> None:
    """Install the old versions of everything, and offer the new ones."""
    bench.put_torch("2.13.0+cpu")
    old = {"numpy/__init__.py": "version = 1\n", "numpy/gone.py": "", "numpy/data/a.txt": "a"}
    bench.put(bench.public.add("numpy", "1.26.0", old))
    bench.put(bench.public.add("bystander", "1.0"))
    bench.install("det")
    (bench.env.paths.purelib / "hand.py").write_text("made = 'by hand'\n")
    new = {"numpy/__init__.py": "version = 2\n", "numpy/data/b.txt": "b", "numpy-2.2.0.data/scripts/f2py": "#!python\n"}
    bench.public.add("numpy", "2.2.0", {**new, **{f"numpy/part{number}.py": "" for number in range(40)}})
    bench.public.add("newcomer", "1.0", {"hand.py": "made = 'by a wheel'\n", "newcomer.py": ""}, requires=["deeper"])
    bench.public.add("deeper", "1.0", {"deeper/a/b/c.py": ""})
    bench.site.add_core("0.2.0")
    bench.site.add_ops("cpu", "0.2.0")
    requires = ["mimctl[engine]==0.2.0", "mimctl-ops==0.2.0", "numpy>=2", "newcomer"]
    bench.site.add_det("0.2.0", requires=requires)


def kill_many(bench, rounds: int, seed: int) -> dict[str, int]:
    """Kill installations at random moments, repair, compare; return how often each outcome came."""
    prepare(bench)
    before = tree(bench.venv)
    pristine = bench.venv.with_name("pristine")
    shutil.copytree(bench.venv, pristine, symlinks=True)
    chance = random.Random(seed)
    outcomes = {"nothing had begun": 0, "restored": 0, "fix killed too": 0, "committed": 0}
    with Worker(bench) as worker:
        env = bench.env
        status, whole_s = worker.run("install")
        assert status == 0
        now = after = tree(bench.venv)
        for number in range(rounds):
            if now != before:
                shutil.rmtree(bench.venv)
                shutil.copytree(pristine, bench.venv, symlinks=True)
            delay_s = chance.uniform(0, 1.1 * whole_s)
            story = f"round {number}, seed {seed}, killed after {delay_s:.3f} of {whole_s:.3f} s"
            worker.run("install", delay_s)
            left = find_unfinished(env.paths.search)
            assert left is None or not left.is_alive, story
            if left is not None and chance.random() < 0.3:
                worker.run("repair", chance.uniform(0, 0.06))
                outcomes["fix killed too"] += 1
            repair(env, pytest.fail)
            now = tree(bench.venv)
            if now not in (before, after):
                pytest.fail(f"{story}: {min(difference(now, before), difference(now, after), key=len)}")
            outcome = "committed" if now == after else "restored" if left else "nothing had begun"
            if left is not None and now == after:
                pytest.fail(f"{story}: the change was not undone")
            outcomes[outcome] += 1
            assert not list(leftovers(env.paths.purelib.parent)), story
            if number % 20 == 19:
                print(number + 1, "rounds:", outcomes, flush=True)
            works(bench, "2" if now == after else "1")
    return outcomes


def difference(now, then):
    """Return what two trees differ in, as far as one wants to read."""
    paths = sorted(path for path in now.keys() | then.keys() if now.get(path) != then.get(path))
    return {path: (now.get(path), then.get(path)) for path in paths[:8]}


def works(bench, version: str) -> None:
    """Import what is installed, and have the installer find it consistent."""
    modules = "numpy, mimctl_det, hand, mimctl_ops" + (", newcomer, deeper.a.b.c" if version == "2" else "")
    code = f"import {modules}; assert numpy.version == {version} and mimctl_det.version == '0.{version}.0', numpy"
    subprocess.run([bench.venv / "bin/python", "-B", "-P", "-c", code], check=True)


@pytest.mark.parametrize(("choice", "rounds"), [("uv", 6), ("pip", 2)])
def test_whatever_a_kill_leaves_is_repaired(pip_bench, choice, rounds):
    pip_bench.choice = choice
    kill_many(pip_bench, rounds, seed=random.randrange(1 << 30))


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(("choice", "rounds"), [("uv", 200), ("pip", 20)])
def test_whatever_hundreds_of_kills_leave_is_repaired(pip_bench, choice, rounds):
    pip_bench.choice = choice
    outcomes = kill_many(pip_bench, rounds, seed=random.randrange(1 << 30))
    print(choice, outcomes)
    assert outcomes["restored"] > rounds / 4

"""The lock of an environment: one holder, known by name; the dead are followed by exactly one; nobody is robbed."""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from made_environment import make_env
from patience import wait_until

from mimctl.errors import MimctlError
from mimctl.installer.transaction.exclusive import is_being_changed, locked
from mimctl.transfer import exclusive, owner

ROOT = Path(__file__).resolve().parents[2]
DIE = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"


@pytest.fixture
def env(tmp_path):
    """An environment whose `site-packages` lies in a folder of the test."""
    env = make_env()
    purelib = tmp_path / "lib" / "site-packages"
    purelib.mkdir(parents=True)
    return replace(env, paths=replace(env.paths, prefix=tmp_path, purelib=purelib))


def left_behind(env) -> list[str]:
    return sorted(each.name for each in env.paths.purelib.parent.iterdir() if each.name != "site-packages")


def write_lock(env, name: str = ".mimctl-lock", token: str = "t0", **changes) -> Path:
    """Write the lock of somebody."""
    holder = replace(owner.this_process(), **changes)
    path = env.paths.purelib.parent / name
    path.write_text(json.dumps({"token": token, **holder.to_dict()}))
    return path


def dead_pid() -> int:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid


def test_a_lock_is_held_told_and_gone(env):
    assert not is_being_changed(env)
    with locked(env, pytest.fail):
        assert is_being_changed(env)
        data = json.loads((env.paths.purelib.parent / ".mimctl-lock").read_text())
        assert (data["pid"], left_behind(env)) == (os.getpid(), [".mimctl-lock"])
    assert left_behind(env) == []
    with pytest.raises(KeyError), locked(env, pytest.fail):
        raise KeyError
    assert left_behind(env) == []


def test_a_second_one_waits_and_says_for_whom(env):
    said = []

    def second():
        with locked(env, said.append):
            return time.monotonic()

    with ThreadPoolExecutor() as pool:
        with locked(env, pytest.fail):
            waiting = pool.submit(second)
            while not said:
                time.sleep(0.01)
            time.sleep(0.3)
            let_go = time.monotonic()
        assert waiting.result() >= let_go
    assert len(said) == 1
    assert said[0].startswith(f"waiting for process {os.getpid()} on ")
    assert ", since 20" in said[0]


@pytest.mark.parametrize(
    "dead",
    [
        {"pid": "gone"},
        {"started": "another process has its number now"},
        {"boot": "this machine was started anew"},
    ],
    ids=lambda value: next(iter(value)),
)
def test_the_lock_of_a_dead_process_is_taken_over(env, dead):
    write_lock(env, **{key: dead_pid() if value == "gone" else value for key, value in dead.items()})
    assert not is_being_changed(env)
    with locked(env, pytest.fail):
        assert is_being_changed(env)
    assert left_behind(env) == []


def test_those_who_died_while_taking_over_are_followed_too(env):
    pid = dead_pid()
    write_lock(env, token="t0", pid=pid)
    write_lock(env, ".mimctl-lock-after-t0", token="t1", pid=pid)
    write_lock(env, ".mimctl-lock-after-t1", token="t2", pid=pid)
    write_lock(env, ".mimctl-lock-new-t9", token="t9", pid=pid)
    with locked(env, pytest.fail):
        assert (env.paths.purelib.parent / ".mimctl-lock-after-t2").exists()
        assert is_being_changed(env)
    assert left_behind(env) == []


@pytest.mark.parametrize("elsewhere", [{"host": "node7"}, {"namespace": "1"}, {"machine": "m"}], ids=str)
def test_a_lock_of_another_host_is_never_broken(env, elsewhere, monkeypatch):
    path = write_lock(env, pid=1, **elsewhere)
    assert is_being_changed(env)
    an_hour_ago = time.time() - 3600
    os.utime(path, (an_hour_ago, an_hour_ago))
    with pytest.raises(MimctlError) as caught, locked(env, print):
        pass
    assert caught.value.code == "environment-locked"
    assert "process 1 on " in caught.value.message
    assert f"`rm {path}`" in caught.value.hints[1]
    assert left_behind(env) == [".mimctl-lock"]


def test_a_lock_of_another_host_with_signs_of_life_is_waited_for(env):
    path = write_lock(env, host="node7")
    said = []

    def second():
        with locked(env, said.append):
            pass

    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(second)
        while not said:
            time.sleep(0.01)
        time.sleep(0.3)
        assert not waiting.done()
        path.unlink()
        waiting.result(timeout=240)


def test_a_holder_gives_signs_of_life(env):
    with locked(env, pytest.fail):
        path = env.paths.purelib.parent / ".mimctl-lock"
        os.utime(path, (0, 0))
        wait_until(lambda: path.stat().st_mtime > 0)


def test_a_lock_that_cannot_be_read_is_an_error_with_a_way_out(env, monkeypatch):
    monkeypatch.setattr(exclusive, "_POLL_S", 0.01)
    path = env.paths.purelib.parent / ".mimctl-lock"
    path.write_text("{")
    with pytest.raises(MimctlError) as caught, locked(env, print):
        pass
    assert (caught.value.code, f"`rm {path}`" in caught.value.hints[0]) == ("environment-locked", True)


@pytest.mark.parametrize("has_links", [True, False])
def test_of_many_takers_one_at_a_time_wins(env, has_links):
    write_lock(env, pid=dead_pid())
    context = multiprocessing.get_context("fork")
    takers = [context.Process(target=_take_and_count, args=(env, has_links)) for _ in range(8)]
    for each in takers:
        each.start()
    for each in takers:
        each.join(240)
    assert [each.exitcode for each in takers] == [0] * len(takers)
    assert (env.paths.prefix / "count").read_text() == "x" * 8 * 10
    assert left_behind(env) == []


def _take_and_count(env, has_links: bool) -> None:
    """Take the lock ten times; whoever finds somebody else inside fails. Every third one dies and is followed."""
    exclusive._POLL_S = 0.001
    if not has_links:
        exclusive.os = _WithoutLinks()
    inside, count = env.paths.prefix / "inside", env.paths.prefix / "count"
    for _ in range(10):
        with locked(env, lambda _line: None):
            with inside.open("x"):
                pass
            with count.open("a") as file:
                file.write("x")
            inside.unlink()


class _WithoutLinks:
    """`os` on a file system that has no hard links."""

    def __getattr__(self, name):
        return getattr(os, name)

    def link(self, *_):
        raise PermissionError(1, "no links here")


def test_takers_of_takers_that_die_never_meet(env):
    script = (
        "import os, random, signal, sys\nfrom dataclasses import replace\nfrom pathlib import Path\n"
        "sys.path[:0] = sys.argv[2:]\n"
        "from made_environment import make_env\nfrom mimctl.installer.transaction.exclusive import locked\n"
        "from mimctl.transfer import exclusive\n"
        "exclusive._POLL_S = 0.001\n"
        "env, place = make_env(), Path(sys.argv[1])\n"
        "env = replace(env, paths=replace(env.paths, prefix=place, purelib=place / 'lib/site-packages'))\n"
        "for number in range(100):\n"
        "    with locked(env, lambda line: None):\n"
        "        inside = place / f'inside-{os.getpid()}'\n"
        "        inside.touch()\n"
        "        others = [each for each in place.glob('inside-*') if each != inside]\n"
        "        alive = [each for each in others if Path(f'/proc/{each.name[7:]}/exe').exists()]\n"
        "        if alive:\n            os._exit(3)\n"
        "        if random.random() < 0.1:\n            os.kill(os.getpid(), signal.SIGKILL)\n"
        "        inside.unlink()\n"
        "os._exit(0)\n"
    )
    argv = [sys.executable, "-c", script, str(env.paths.prefix), str(ROOT), str(ROOT / "tests")]
    takers = [subprocess.Popen(argv) for _ in range(6)]
    codes = [each.wait(240) for each in takers]
    assert set(codes) <= {0, -9}, "3: two were inside at once"
    with locked(env, pytest.fail):
        pass
    assert left_behind(env) == []

"""One live run in a work dir, on file systems with and without locks."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from patience import wait_until

from mimctl.engine.running import run_lock
from mimctl.engine.running.run_lock import LOCK_NAME, locked
from mimctl.errors import MimctlError

ROOT = Path(__file__).parents[2]
HOLD = """
import sys, time
from pathlib import Path
{before}
from mimctl.engine.running.run_lock import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(900)
"""
WITHOUT_FLOCK = "import fcntl\ndef flock(*_): raise OSError(38, 'not implemented')\nfcntl.flock = flock"
WITHOUT_LOCKS = f"{WITHOUT_FLOCK}\nfcntl.lockf = flock"


def holder(folder: Path, before: str = "") -> subprocess.Popen[str]:
    code = HOLD.replace("{before}", before)
    process = subprocess.Popen([sys.executable, "-c", code, str(folder)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def deny(*_: Any) -> None:
    raise OSError(errno.ENOSYS, "Function not implemented")


@pytest.mark.parametrize("lost", [(), ("flock",), ("flock", "lockf")], ids=["flock", "record locks", "no locks"])
def test_live_second_run_is_refused_and_a_killed_one_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lost: tuple[str, ...]
) -> None:
    first = holder(tmp_path, {0: "", 1: WITHOUT_FLOCK, 2: WITHOUT_LOCKS}[len(lost)])
    for name in lost:
        monkeypatch.setattr(fcntl, name, deny)
    with pytest.raises(MimctlError) as caught, locked(tmp_path):
        pass
    assert caught.value.code == "work-dir-in-use"
    assert caught.value.causes[0].startswith(f"process {first.pid} on {os.uname().nodename}")
    first.send_signal(signal.SIGKILL)
    first.communicate()
    with locked(tmp_path):
        assert f"process {os.getpid()}" in (tmp_path / LOCK_NAME).read_text()
    assert (tmp_path / LOCK_NAME).read_text() == ""


def test_run_of_another_machine_is_alive_while_it_touches_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("flock", "lockf"):
        monkeypatch.setattr(fcntl, name, deny)
    path = tmp_path / LOCK_NAME
    path.write_text("process 12 on another-machine (started 345)\n")
    with pytest.raises(MimctlError, match="another run"), locked(tmp_path):
        pass
    long_ago = time.time() - run_lock.DEAD_AFTER_S - 5
    os.utime(path, (long_ago, long_ago))
    monkeypatch.setattr(run_lock, "BEAT_S", 0.05)
    with locked(tmp_path):
        os.utime(path, (long_ago, long_ago))
        wait_until(lambda: path.stat().st_mtime > long_ago + 1)


def test_number_of_a_process_that_was_given_away_again_is_no_live_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("flock", "lockf"):
        monkeypatch.setattr(fcntl, name, deny)
    (tmp_path / LOCK_NAME).write_text(f"process {os.getppid()} on {os.uname().nodename} (started 1)\n")
    with locked(tmp_path):
        pass


@pytest.mark.parametrize("has_locks", [True, False])
def test_a_job_that_was_queued_again_waits_for_its_own_earlier_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_locks: bool
) -> None:
    assert run_lock.patience_of({"SLURM_RESTART_COUNT": "1"}) > run_lock.DEAD_AFTER_S
    assert run_lock.patience_of({"SLURM_RESTART_COUNT": "0"}) == run_lock.patience_of({}) == 0
    monkeypatch.setattr(run_lock, "POLL_S", 0.05)
    first = holder(tmp_path, "" if has_locks else WITHOUT_LOCKS)
    if not has_locks:
        for name in ("flock", "lockf"):
            monkeypatch.setattr(fcntl, name, deny)
    with pytest.raises(MimctlError, match="another run"), locked(tmp_path, patience_s=0.2):
        pass
    threading.Timer(0.5, first.kill).start()
    with locked(tmp_path, patience_s=60):
        assert first.wait(240) == -signal.SIGKILL


def test_two_runs_take_their_turn(tmp_path: Path) -> None:
    for _ in range(2):
        with locked(tmp_path):
            pass

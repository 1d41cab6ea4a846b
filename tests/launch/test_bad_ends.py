"""A run ends badly, or who looks after it does: told once, with rank, host and exit code, and no process is left."""

from __future__ import annotations

import os
import pty
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from rough_toolbox import install_rough_toolbox, process_ids, wait_for_end, wait_for_ids
from toy_toolbox import ROOT, command

PATIENCE_S = 240.0
HOST = socket.gethostname()
LAUNCHERS = {"none": ("--gpus", "0"), "pytorch": ("--procs", "2")}


class Desk:
    """A user in an own folder, with the toolbox `rough`."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.work_dir = folder, folder / "w"
        install_rough_toolbox(folder / "site")
        own = {"MIMCTL_HOME": str(folder / "home"), "MIMCTL_PYTHON": sys.executable, "OMP_NUM_THREADS": "1"}
        paths = os.pathsep.join([str(ROOT), str(folder / "site")])
        self.environment = {**os.environ, **own, "PYTHONPATH": paths}

    def argv(self, mode: str, *launch: str) -> list[str]:
        options = ["--cfg-options", f"model.mode={mode}", "--work-dir", "w"]
        return command("train", "rough", "rough_small", *options, *launch)

    def start(self, mode: str, *launch: str, ignored: signal.Signals | None = None) -> subprocess.Popen[str]:
        """Start a training; its family is in a session of its own."""
        argv = self.argv(mode, *launch)
        if ignored is not None:
            argv = ["sh", "-c", f'trap "" {ignored.name.removeprefix("SIG")}; exec "$@"', "sh", *argv]
        return subprocess.Popen(
            argv,
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, mode: str, *launch: str) -> tuple[int, str]:
        """Train to the end; return the exit code and what was told."""
        process = self.start(mode, *launch)
        _, told = process.communicate(timeout=240)
        return process.returncode, told


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


@pytest.mark.parametrize(
    ("launcher", "mode", "code", "told"),
    [
        ("none", "bug", 1, "error[child-crashed]: ValueError: the net tore"),
        ("none", "memory", 1, "error[out-of-memory]: out of memory"),
        ("none", "exit child", 7, "error[child-died]: train ended with exit code 7"),
        ("none", "SIGKILL child deaf", 137, "error[child-died]: train ended with signal SIGKILL"),
        ("none", "SIGSEGV loading", 139, "error[child-died]: train ended with signal SIGSEGV"),
        ("pytorch", "bug deaf", 1, "error[child-crashed]: ValueError: the net tore"),
        ("pytorch", "SIGKILL child deaf", 137, "error[rank-died]: rank 1 of 2 ended by signal SIGKILL"),
        pytest.param(
            "pytorch", "bug exchanging", 1, "error[child-crashed]: ValueError: the net tore", marks=pytest.mark.slow
        ),
        pytest.param(
            "pytorch", "SIGSEGV exchanging loading", 139, "error[rank-died]: rank 1 of 2 ended by signal SIGSEGV",
            marks=pytest.mark.slow,
        ),
        pytest.param("pytorch", "exit deaf", 7, "error[rank-died]: rank 1 of 2 ended with exit code 7",
                     marks=pytest.mark.slow),
    ],
)  # fmt: skip
def test_what_failed_is_told_once_and_nothing_is_left(
    desk: Desk, launcher: str, mode: str, code: int, told: str
) -> None:
    found, said = desk.run(mode, *LAUNCHERS[launcher])
    assert (found, said.count("error[")) == (code, 1), said
    assert told in said
    if launcher == "pytorch":
        assert f"host {HOST}" in said
    wait_for_end(process_ids(desk.work_dir), seconds=PATIENCE_S)


def kill(process: subprocess.Popen[str]) -> None:
    process.kill()


def interrupt(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGINT)


@pytest.mark.parametrize(
    ("launcher", "mode", "count", "end", "code"),
    [
        ("none", "hangs child deaf", 2, kill, -9),
        ("none", "hangs child deaf", 2, interrupt, 130),
        ("pytorch", "hangs child deaf", 4, kill, -9),
        pytest.param("none", "hangs loading", 2, kill, -9, marks=pytest.mark.slow),
        pytest.param("pytorch", "hangs exchanging loading", 4, kill, -9, marks=pytest.mark.slow),
        pytest.param("pytorch", "hangs exchanging loading", 4, interrupt, 130, marks=pytest.mark.slow),
    ],
)
def test_nothing_outlives_who_looks_after_it(
    desk: Desk, launcher: str, mode: str, count: int, end: Callable[[subprocess.Popen[str]], None], code: int
) -> None:
    process = desk.start(mode, *LAUNCHERS[launcher])
    pids = wait_for_ids(desk.work_dir, count)
    end(process)
    wait_for_end(pids, seconds=PATIENCE_S)
    process.communicate(timeout=PATIENCE_S)
    assert process.returncode == code


def test_a_terminal_that_closes_ends_its_run_as_sigterm_does(desk: Desk) -> None:
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(desk.folder)
        argv = desk.argv("hangs", *LAUNCHERS["none"])
        os.execve(argv[0], argv, desk.environment)
    pids = wait_for_ids(desk.work_dir, 1)
    time.sleep(0.3)  # it is drawing now
    os.close(terminal)
    os.waitpid(pid, 0)
    wait_for_end(pids, seconds=PATIENCE_S)
    [code] = desk.work_dir.glob("*/exit_code")
    assert code.read_text() == "143\n"


def test_the_end_of_a_terminal_is_nothing_to_a_run_that_was_told_to_ignore_it(desk: Desk) -> None:
    process = desk.start("hangs", *LAUNCHERS["none"], ignored=signal.SIGHUP)
    pids = wait_for_ids(desk.work_dir, 1)
    process.send_signal(signal.SIGHUP)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(1)
    process.terminate()
    process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 143
    wait_for_end(pids, seconds=PATIENCE_S)

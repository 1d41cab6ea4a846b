"""The script that each task of a watched run is, run by a real bash: where its ranks meet."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from patience import wait_until

from mimctl.launch.model import RunRequest, SlurmOptions
from mimctl.launch.plan import make_plan
from mimctl.spec import LauncherFacts

CHILD = '#!/bin/sh\necho "$MASTER_ADDR:$MASTER_PORT"\n'
SCONTROL = "#!/bin/sh\nprintf 'node7\\nnode8\\n'\n"
STEP = {"SLURM_STEP_ID": "0", "SLURM_STEP_NODELIST": "node[7-8]"}
StartTask = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[StartTask]:
    """Return what starts one task of a step; it prints where it would meet the others."""
    for name, text in {"python": CHILD, "scontrol": SCONTROL}.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    (tmp_path / "a run" / "ranks").mkdir(parents=True)
    started: list[subprocess.Popen[str]] = []

    def task(number: int, job: int, port: int | None = None, **variables: str) -> subprocess.Popen[str]:
        request = RunRequest(
            action="train",
            plugin="det",
            package="mimctl_det",
            entry="a:b",
            python=tmp_path / "python",
            run_dir=tmp_path / "a run",
            launcher=LauncherFacts(kind="slurm", num_procs=2),
            slurm=SlurmOptions(foreground=True, setup=("set -eu",)),
            port=port,
        )
        [(script, text)] = make_plan(request).files.items()
        script.write_text(text)
        path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
        own = {**STEP, "PATH": path, "SLURM_JOB_ID": str(job), "SLURM_PROCID": str(number), **variables}
        started.append(subprocess.Popen(["bash", script, "spec.json"], env=own, stdout=subprocess.PIPE, text=True))
        return started[-1]

    yield task
    for each in started:
        each.kill()
        each.communicate()


@contextlib.contextmanager
def taken_port() -> Iterator[int]:
    """Listen where the ranks of some job would meet, and give its port."""
    for port in range(28000, 29000):
        with contextlib.suppress(OSError), socket.create_server(("", port)):
            yield port
            return
    raise AssertionError("every port is taken")


def said(task: subprocess.Popen[str]) -> str:
    return task.communicate(timeout=240)[0].strip()


def test_tasks_meet_where_the_first_of_them_found_that_nobody_answers(start: StartTask, tmp_path: Path) -> None:
    with taken_port() as taken:
        job = taken - 20000
        second = start(1, job)
        with pytest.raises(subprocess.TimeoutExpired):
            second.wait(1)
        first = said(start(0, job))
        assert said(second) == first
        host, _, port = first.partition(":")
        assert (host, taken < int(port) < taken + 100) == ("node7", True)
        assert (said(start(0, job, MASTER_PORT="7")), said(start(1, job, MASTER_PORT="7"))) == ("node7:7", "node7:7")
        assert said(start(1, job, port=taken)) == f"node7:{taken}", "who names a port is believed"


def test_what_another_step_of_the_run_left_is_not_read(start: StartTask, tmp_path: Path) -> None:
    first = said(start(0, 8105))
    other = start(1, 9105)
    wait_until(lambda: list((tmp_path / "a run" / "ranks").iterdir()))
    with pytest.raises(subprocess.TimeoutExpired):
        other.wait(1)
    assert said(start(0, 9105)) == said(other) != first

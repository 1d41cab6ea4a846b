"""Which rank of a job failed first, told from what ranks wrote and from what srun said."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from mimctl.launch.slurm.ranks import GRACE_S, FirstFailure, first_error

EXITED = "srun: error: n2: task 1: Exited with exit code 7"
KILLED = "srun: error: n1: tasks 0-1,3: Killed"
SEGFAULT = "srun: error: n2: task 3: Segmentation fault (core dumped)"
MEMORY = "srun: error: node-07.example.org: task 2: Out Of Memory"
STOPPED = "srun: error: n1: task 0: Exited with exit code 143"
TERMINATED = "srun: error: n1: task 0: Terminated"
BY_SRUN = "srun: launch/slurm: _step_signal: Terminating StepId=8.0"
LOST = {"code": "rank-lost", "message": "lost", "exit_code": 1}
OWN = {"code": "bad-data", "message": "bad data", "exit_code": 3}


@pytest.mark.parametrize(
    ("written", "said", "expected"),
    [
        ({}, [], None),
        ({1: OWN}, [EXITED], ("bad data", 3, None)),
        ({0: LOST, 1: OWN}, [], ("bad data", 3, None)),
        ({0: LOST}, [], ("lost", 1, None)),
        ({0: LOST}, [SEGFAULT, BY_SRUN, KILLED], ("rank 3 ended by signal SIGSEGV", 139, "n2")),
        ({}, ["hello", EXITED, BY_SRUN, KILLED], ("rank 1 ended with exit code 7", 7, "n2")),
        ({}, [KILLED], ("rank 0 ended by signal SIGKILL", 137, "n1")),
        ({}, [MEMORY], ("rank 2 ended by signal SIGKILL", 137, "node-07.example.org")),
        ({}, [STOPPED, TERMINATED, EXITED], ("rank 1 ended with exit code 7", 7, "n2")),
        ({}, [BY_SRUN, KILLED], None),
        ({}, ["srun: forcing job termination", KILLED], None),
        ({}, [EXITED, "ranks meet at n1:20007", SEGFAULT], ("rank 3 ended by signal SIGSEGV", 139, "n2")),
        ({1: LOST}, [EXITED], ("lost", 1, None)),
    ],
)
def test_the_rank_that_began_is_told(
    tmp_path: Path, written: dict[int, dict[str, object]], said: Sequence[str], expected: object
) -> None:
    for when, (rank, error) in enumerate(written.items()):
        path = tmp_path / f"error-{rank}.json"
        path.write_text(json.dumps({**error, "details": {"rank": rank}}))
        os.utime(path, (when, when))
    found = first_error(tmp_path, said)
    told = None if found is None else (found["message"], found["exit_code"], found["details"].get("host"))
    assert told == expected


def test_torn_files_of_errors_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / "error-0.json").write_text('{"code": ')
    (tmp_path / "error-1.json").write_text("[]")
    assert first_error(tmp_path) is None


@pytest.mark.parametrize("by", ["file", "word"])
def test_the_others_have_a_moment_after_the_first_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    now = 100.0
    monkeypatch.setattr("mimctl.launch.slurm.ranks.time.monotonic", lambda: now)
    is_stuck = FirstFailure(tmp_path)
    assert not is_stuck(["all is well"])
    now += 60
    if by == "file":
        (tmp_path / "error-1.json").write_text(json.dumps(OWN))
    said = ["all is well"] if by == "file" else [EXITED]
    assert not is_stuck(said)
    now += GRACE_S
    assert is_stuck([])

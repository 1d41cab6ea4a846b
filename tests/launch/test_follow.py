"""How a job that is followed ended, by what it has written down and by what a stand-in for Slurm answers."""

from __future__ import annotations

from pathlib import Path

import pytest

from mimctl.launch.model import Silence
from mimctl.launch.slurm.follow import follow

JOB = "77"


@pytest.mark.parametrize(
    ("state", "written", "code"),
    [
        ("COMPLETED", 0, 0),
        ("COMPLETED", None, 0),
        ("FAILED", 3, 3),
        ("FAILED", None, 1),
        # It was done; Slurm ended the job a moment later, or lost sight of it.
        ("FAILED", 0, 0),
        ("NODE_FAIL", 0, 0),
        ("CANCELLED", 0, 0),
        ("CANCELLED", 143, 143),
        ("NODE_FAIL", None, 1),
    ],
)
def test_a_job_has_ended_as_it_wrote_down_whatever_slurm_saw_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: str, written: int | None, code: int
) -> None:
    queue = tmp_path / "squeue"
    queue.write_text(f"#!/bin/sh\necho '{JOB}|{state}|None|n1'\n", encoding="utf-8")
    queue.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    if written is not None:
        (tmp_path / "exit_code").write_text(f"{written}\n", encoding="ascii")
    outcome = follow(JOB, tmp_path, Silence())
    assert (outcome.exit_code, outcome.state) == (code, state)

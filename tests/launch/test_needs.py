"""What runs name that may still go on stays in the cache: nobody's mimctl runs while a job waits."""

from __future__ import annotations

import json
import os
import socket
import time
from pathlib import Path

import pytest

from mimctl import api
from mimctl.launch.processes.process_table import start_time
from mimctl.launch.runs.book import RunBook
from mimctl.launch.runs.record import RunRecord
from mimctl.settings import Settings

SQUEUE = '#!/bin/sh\ncat "$(dirname "$0")/answer"\n'
ADDRESS = "https://models.example.org/net-12345678.pth"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Return settings with a cache that holds four files of weights."""
    settings = Settings(cache_dir=tmp_path / "cache", home=tmp_path / "home")
    for name in ("named", "start", "trained", "other"):
        put(settings, name)
    return settings


@pytest.fixture
def queue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the file that holds what a stand-in for `squeue` answers."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "squeue").write_text(SQUEUE, encoding="utf-8")
    (folder / "squeue").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}/bin")
    return folder / "answer"


def put(settings: Settings, name: str) -> Path:
    path = settings.cache_dir / "weights" / f"{name:0<64}" / f"{name}.pth"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"weights")
    return path


def left(settings: Settings) -> list[str]:
    return sorted(path.stem for path in settings.cache_dir.rglob("*.pth"))


def begin(settings: Settings, tmp_path: Path, **more: object) -> RunRecord:
    """Write down a run: its specification names two files of weights, its config one more."""
    folder = tmp_path / "work" / "run"
    folder.mkdir(parents=True)
    (tmp_path / "base.py").write_text(f"load_from = {str(put(settings, 'start'))!r}\n", encoding="utf-8")
    config = tmp_path / "net.py"
    config.write_text("_base_ = './base.py'\nmodel = dict(type='Net')\n", encoding="utf-8")
    spec = {
        "config": str(config),
        "weights": {ADDRESS: str(put(settings, "named"))},
        "checkpoint": str(put(settings, "trained")),
        "overrides": {"work_dir": "/elsewhere"},
    }
    (folder / "spec.json").write_text(json.dumps(spec), encoding="utf-8")
    values = {
        "run_id": "abcdef", "name": "net", "plugin": "det", "action": "train", "config": str(config),
        "work_dir": str(folder.parent), "run_dir": str(folder), "launcher": "slurm", "started": time.time(),
        "host": socket.gethostname(), "argv": ("sbatch", "x"),
    }  # fmt: skip
    record = RunRecord(**{**values, **more})
    RunBook(settings.home / "runs").add(record)
    return record


@pytest.mark.parametrize("state", ["PENDING", "RUNNING", "REQUEUED"])
def test_what_a_job_names_that_may_still_run_stays(state: str, settings: Settings, queue: Path, tmp_path: Path) -> None:
    begin(settings, tmp_path, job_id="7")
    queue.write_text(f"7|{state}|None|n1\n", encoding="utf-8")
    notes: list[str] = []
    assert [each.path.stem for each in api.cache_clean(dry_run=True, settings=settings)] == ["other"]
    assert [each.path.stem for each in api.cache_clean(settings=settings, note=notes.append)] == ["other"]
    assert "kept `named.pth`: run `abcdef` (net) names it and has not ended" in notes
    assert api.cache_prune(days=0, settings=settings) == []
    assert left(settings) == ["named", "start", "trained"]


@pytest.mark.parametrize("state", ["COMPLETED", "FAILED", "CANCELLED", "TIMEOUT"])
def test_what_an_ended_job_named_goes(state: str, settings: Settings, queue: Path, tmp_path: Path) -> None:
    begin(settings, tmp_path, job_id="7")
    queue.write_text(f"7|{state}|None|n1\n", encoding="utf-8")
    api.cache_clean(settings=settings)
    assert left(settings) == []


def test_where_slurm_does_not_answer_its_jobs_count_as_open(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin(settings, tmp_path, job_id="7")
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    api.cache_clean(settings=settings)
    assert left(settings) == ["named", "start", "trained"]


def test_a_run_of_this_machine_counts_while_its_process_lives(settings: Settings, tmp_path: Path) -> None:
    here = {"launcher": "none", "pid": os.getpid(), "pid_started": start_time(os.getpid())}
    record = begin(settings, tmp_path, **here)
    api.cache_clean(settings=settings)
    assert left(settings) == ["named", "start", "trained"]
    (record.folder / "exit_code").write_text("0\n", encoding="utf-8")
    api.cache_clean(settings=settings)
    assert left(settings) == []


@pytest.mark.parametrize(("days", "kept"), [(0.5, ["named", "start", "trained"]), (2, [])])
def test_a_run_of_another_machine_counts_for_a_day(
    days: float, kept: list[str], settings: Settings, tmp_path: Path
) -> None:
    begin(settings, tmp_path, launcher="none", host="elsewhere", started=time.time() - days * 24 * 3600)
    api.cache_clean(settings=settings)
    assert left(settings) == kept


def test_a_run_whose_files_are_spoilt_keeps_nobody_from_cleaning(
    settings: Settings, queue: Path, tmp_path: Path
) -> None:
    record = begin(settings, tmp_path, job_id="7")
    queue.write_text("7|PENDING|None|n1\n", encoding="utf-8")
    Path(str(record.config)).write_text("model = dict(\n", encoding="utf-8")
    api.cache_clean(settings=settings)
    assert left(settings) == ["named", "trained"]
    (record.folder / "spec.json").write_text("{", encoding="utf-8")
    api.cache_clean(settings=settings)
    assert left(settings) == []

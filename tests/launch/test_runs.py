"""The book of runs: found from anywhere, stopped, gone on with, on this machine."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from login_node import Login
from patience import wait_until

from mimctl.errors import MimctlError, UsageError
from mimctl.launch.processes.growing import GrowingFile
from mimctl.launch.processes.process_table import start_time
from mimctl.launch.runs.book import KEPT_RUNS, RunBook
from mimctl.launch.runs.control import cancel, log_names, resume
from mimctl.launch.runs.logs import show
from mimctl.launch.runs.record import RunRecord, read_record
from mimctl.launch.runs.state import state_of, states_of


def record_of(folder: Path, run_id: str, *, name: str = "net", started: float = 1.0, **more: object) -> RunRecord:
    folder.mkdir(parents=True, exist_ok=True)
    values = {
        "run_id": run_id, "name": name, "plugin": "det", "action": "train", "config": "net.py",
        "work_dir": str(folder.parent), "run_dir": str(folder), "launcher": "none", "started": started,
        "host": "elsewhere", "argv": ("python", "x y"),
    }  # fmt: skip
    return RunRecord(**{**values, **more})


def test_a_record_comes_back_as_it_was_written(tmp_path: Path) -> None:
    record = record_of(tmp_path / "run", "abc123", environment={"A": "b c"}, unset=("RANK",), job_id="7")
    record.write()
    assert read_record(tmp_path / "run") == record
    (tmp_path / "run").rename(tmp_path / "moved")
    assert read_record(tmp_path / "moved") == replace(record, run_dir=str(tmp_path / "moved"))


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema_version": 2}', '{"schema_version": 1, "run_id": "a"}'])
def test_a_damaged_record_is_one_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(MimctlError) as caught:
        read_record(tmp_path)
    assert caught.value.code == "bad-run"


def test_runs_are_found_by_each_of_their_names(tmp_path: Path) -> None:
    book = RunBook(tmp_path / "book")
    first = record_of(tmp_path / "a/one", "abcdef", started=1.0, job_id="41")
    second = record_of(tmp_path / "a/two", "abzzzz", started=2.0)
    for each in (first, second):
        book.add(each)
    assert book.runs() == [second, first]
    wanted = {"last": second, "abcdef": first, "abc": first, "41": first, "net": second}
    assert {word: book.find(word) for word in wanted} == wanted
    assert book.find(str(tmp_path / "a/one")) == first
    assert book.find(str(tmp_path / "a")) == second, "a work dir means its newest run"


def test_a_word_that_is_no_run_is_told_with_the_nearest(tmp_path: Path) -> None:
    book = RunBook(tmp_path / "book")
    with pytest.raises(UsageError, match="no run was started yet"):
        book.find("last")
    book.add(record_of(tmp_path / "one", "abcdef", name="rtmdet"))
    book.add(record_of(tmp_path / "two", "abcxyz", name="other"))
    with pytest.raises(UsageError) as caught:
        book.find("rtmdett")
    assert "did you mean `rtmdet`?" in caught.value.hints
    with pytest.raises(UsageError, match="several runs"):
        book.find("abc")


def test_the_book_forgets_the_oldest_and_what_is_gone(tmp_path: Path) -> None:
    book = RunBook(tmp_path / "book")
    for number in range(KEPT_RUNS + 1):
        (book.folder).mkdir(exist_ok=True)
        (book.folder / f"old{number:03d}").write_text("/nowhere\n")
        os.utime(book.folder / f"old{number:03d}", (number, number))
    book.add(record_of(tmp_path / "one", "abcdef"))
    names = sorted(path.name for path in book.folder.iterdir())
    assert len(names) == KEPT_RUNS
    assert "old000" not in names
    assert "abcdef" in names
    assert [each.run_id for each in book.runs()] == ["abcdef"]
    shutil.rmtree(tmp_path / "one")
    assert book.runs() == []


def test_with_an_old_script_its_folder_goes_too_where_it_is_ours(tmp_path: Path) -> None:
    book = RunBook(tmp_path / "home/runs")
    ended, running, users = book.scripts_dir / "one", book.scripts_dir / "two", tmp_path / "work/three"
    for number, place in enumerate((ended, running, users)):
        place.mkdir(parents=True)
        if place != running:
            (place / "exit_code").write_text("0\n")
        book.folder.mkdir(exist_ok=True)
        (book.folder / f"old{number}").write_text(f"{place}\n")
        os.utime(book.folder / f"old{number}", (number, number))
    for number in range(KEPT_RUNS - 1):
        (book.folder / f"run{number:03d}").write_text("/nowhere\n")
    book.add(record_of(tmp_path / "new", "abcdef"))
    assert not (book.folder / "old2").exists()
    assert [place.is_dir() for place in (ended, running, users)] == [False, True, True]


def test_ids_differ_and_begin_with_a_letter(tmp_path: Path) -> None:
    book = RunBook(tmp_path)
    ids = {book.new_id() for _ in range(200)}
    assert len(ids) == 200
    assert all(each[0].isalpha() and len(each) == 6 for each in ids)


def test_a_process_with_the_number_of_a_dead_one_is_not_the_run(tmp_path: Path) -> None:
    here = {"host": os.uname().nodename, "pid": os.getpid()}
    alive = record_of(tmp_path / "one", "abcdef", pid_started=start_time(os.getpid()), **here)
    assert state_of(alive).phase == "running"
    assert state_of(replace(alive, pid_started="1")).phase == "stopped"
    assert state_of(replace(alive, host="elsewhere")).phase == "unknown"


def test_a_process_that_has_written_its_exit_code_and_still_lives_has_ended(tmp_path: Path) -> None:
    here = {"host": os.uname().nodename, "pid": os.getpid(), "pid_started": start_time(os.getpid())}
    record = record_of(tmp_path / "one", "abcdef", **here)
    (record.folder / "exit_code").write_text("143\n")
    assert state_of(record).phase == "stopped"
    (record.folder / "cancelled").touch()
    assert state_of(record).phase == "cancelled"


SQUEUE = """\
#!/bin/sh
echo "squeue $*" >> "$(dirname "$0")/asked"
cat "$(dirname "$0")/answer"
"""


@pytest.fixture
def queue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the file that holds what a stand-in for `squeue` answers."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "squeue").write_text(SQUEUE)
    (folder / "squeue").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}/bin")
    return folder / "answer"


def test_a_job_is_what_slurm_says_and_then_what_it_wrote_down(tmp_path: Path, queue: Path) -> None:
    record = record_of(tmp_path / "run", "abcdef", job_id="7")

    def phase(state: str = "") -> str:
        queue.write_text(f"7|{state}|None|n1\n" if state else "")
        return state_of(record).phase

    assert [phase("PENDING"), phase("RUNNING"), phase("COMPLETING")] == ["waiting", "running", "running"]
    assert [phase("PREEMPTED"), phase("TIMEOUT"), phase("NODE_FAIL")] == ["stopped"] * 3
    assert [phase("CANCELLED"), phase("FAILED"), phase("COMPLETED")] == ["cancelled", "failed", "done"]
    assert phase() == "unknown", "it is forgotten, and has written nothing down"
    assert "Slurm knows job 7 no more" in state_of(record).note
    assert not state_of(record).may_go_on
    (record.folder / "exit_code").write_text("143\n")
    assert [phase(), phase("CANCELLED"), phase("PENDING")] == ["stopped", "cancelled", "waiting"]
    (record.folder / "cancelled").touch()
    assert phase() == "cancelled"
    (record.folder / "exit_code").write_text("0\n")
    assert phase() == "done", "it was through when it was cancelled"
    (record.folder / "unfinished").touch()
    assert phase() == "cancelled"


def test_a_run_that_slurm_does_not_tell_of_is_unknown_and_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    record = record_of(tmp_path / "run", "abcdef", job_id="7", work_dir=str(tmp_path))
    (tmp_path / "last_checkpoint").write_text("x.pth")
    state = state_of(record)
    assert (state.phase, state.is_resumable, state.may_go_on) == ("unknown", False, True)
    assert state.note == "there is no `squeue` on this machine"
    with pytest.raises(MimctlError, match="as far as can be said"):
        resume(record, RunBook(tmp_path / "book"), detach=True, listener=None)
    with pytest.raises(MimctlError, match="no `scancel`"):
        cancel(record)
    assert not (record.folder / "cancelled").exists()


def test_slurm_is_asked_once_and_only_for_jobs_that_may_go_on(tmp_path: Path, queue: Path) -> None:
    records = [record_of(tmp_path / str(number), f"abcde{number}", job_id=str(number)) for number in range(4)]
    for number, code in enumerate(("0", "1", "143")):
        (records[number].folder / "exit_code").write_text(code)
    queue.write_text("2|PENDING|BeginTime|\n3|RUNNING|None|n1\n")
    assert [each.phase for each in states_of(records)] == ["done", "failed", "waiting", "running"]
    assert [line.split()[5] for line in (queue.parent / "asked").read_text().splitlines()] == ["-j"]
    assert "-j 2,3 " in (queue.parent / "asked").read_text()


def test_each_process_of_a_run_has_a_log_of_its_own(tmp_path: Path) -> None:
    stem = "20260101_000000"
    here = record_of(tmp_path / stem, "abcdef")
    job = replace(here, job_id="7")
    assert (log_names(here), log_names(here, 0), log_names(here, 1)) == (
        [f"{stem}.log"], [f"{stem}.log"], [f"{stem}_rank1.log"]
    )  # fmt: skip
    assert (log_names(job, 0), log_names(job, 2)) == ([f"{stem}.log"], [f"{stem}_rank2.log"])


def test_of_a_job_is_told_what_its_first_rank_logs_and_what_it_prints_itself(tmp_path: Path) -> None:
    job = record_of(tmp_path / "20260101_000000", "abcdef", job_id="7")

    def told(lines: int | None = None) -> list[str]:
        found: list[str] = []
        show(job, found.append, follows=False, lines=lines, rank=None)
        return found

    with pytest.raises(MimctlError) as caught:
        told()
    assert caught.value.code == "no-log"
    (job.folder / "slurm-7.out").write_text("ranks meet\nended")
    assert told() == ["ranks meet", "ended"]
    (job.folder / "20260101_000000.log").write_text("epoch 1\nepoch 2\n")
    assert told() == ["epoch 1", "epoch 2", "ranks meet", "ended"]
    assert told(2) == ["epoch 2", "ranks meet", "ended"], "the last one is not whole"


def test_a_growing_file_is_read_by_whole_lines_and_anew_when_it_was_replaced(tmp_path: Path) -> None:
    path = tmp_path / "log"
    file = GrowingFile(path)
    assert list(file.lines()) == []
    path.write_bytes(b"one\ntw")
    assert list(file.lines()) == [b"one"]
    with path.open("ab") as stream:
        stream.write(b"o\nthree")
    assert list(file.lines()) == [b"two"]
    assert file.rest() == b"three"
    path.write_bytes(b"new\n")
    assert list(file.lines()) == [b"new"]


@pytest.fixture
def desk(tmp_path: Path) -> Login:
    return Login.at(tmp_path)


def test_a_run_of_this_machine_is_seen_cancelled_and_gone_on_with(desk: Login, tmp_path: Path) -> None:
    argv = desk.argv("train", "det", "toy.py", "--gpus", "0", "--name", "mine", "--cfg-options")
    process = subprocess.Popen(
        [*argv, "train_cfg.max_epochs=100000"],
        cwd=tmp_path,
        env=desk.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_until(lambda: (tmp_path / "work_dirs/toy/last_checkpoint").exists())
    running = desk.status("mine")
    assert (running["state"], running["job_id"]) == ("running", None)
    assert running["step"]["phase"] == "train"
    assert desk.mimctl("cancel", "mine").returncode == 0
    process.communicate(timeout=240)
    cancelled = desk.status("mine")
    assert (cancelled["state"], cancelled["resumable"]) == ("cancelled", True)
    assert desk.mimctl("cancel", "mine").returncode == 1
    # What is left of the run is short now: it goes on to its end, as itself.
    spec = tmp_path / "work_dirs/toy" / Path(cancelled["run_dir"]).name / "resume.json"
    text = json.loads(spec.read_text())
    done = json.loads((spec.parent / "unfinished").read_text())["epoch"]
    spec.write_text(json.dumps({**text, "overrides": {"train_cfg.max_epochs": done + 2}}))
    resumed = desk.mimctl("resume", "mine")
    assert resumed.returncode == 0, resumed.stderr
    assert resumed.stdout.strip().endswith(f"epoch_{done + 2}.pth")
    after = desk.status("mine")
    assert (after["state"], after["run_id"]) == ("done", running["run_id"])
    assert "resumed from" in desk.mimctl("logs", "mine").stdout
    assert len(desk.mimctl("logs", "mine", "-n", "3").stdout.splitlines()) == 3

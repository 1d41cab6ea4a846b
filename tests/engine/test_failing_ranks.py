"""Of several ranks one fails: its own error is told once, and all have ended soon after."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from patience import wait_until

from mimctl import __version__
from mimctl.engine import agent
from mimctl.spec import LauncherFacts, RunSpec

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR2)


class Ran:
    """What an agent left: exit code, events, result, the ids of its ranks, and how long the end took."""

    def __init__(self, code: int, folder: Path) -> None:
        self.code = code
        text = (folder / "events.jsonl").read_text() if (folder / "events.jsonl").exists() else ""
        self.events = [json.loads(line) for line in text.splitlines()]
        path = folder / "result.json"
        self.result: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
        self.pids = pids_in(folder)

    @property
    def error(self) -> dict[str, Any]:
        [error] = [event for event in self.events if event["event"] == "error"]
        return error


def pids_in(folder: Path) -> dict[str, int]:
    return {path.name: int(path.read_text()) for path in (folder / "pids").glob("*-*") if path.name[0] != "."}


Run = Callable[..., Ran]


def spec_of(folder: Path, entry: str, *, num_procs: int = 2, **options: Any) -> RunSpec:
    (folder / "pids").mkdir(parents=True, exist_ok=True)
    return RunSpec(
        plugin="toy",
        package="toy",
        action="test",
        entry=f"rank_entries:{entry}",
        mimctl_version=__version__,
        options=options,
        launcher=LauncherFacts(kind="pytorch", num_procs=num_procs),
        events_path=str(folder / "events.jsonl"),
        result_path=str(folder / "result.json"),
    )


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Run]:
    """Return a function that runs an entry over ranks; the agent runs in this process, the ranks in their own."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), str(HERE)]))
    monkeypatch.setenv("TEST_PIDS", str(tmp_path / "pids"))
    for name in ("OMP_NUM_THREADS", "MIMCTL_ERROR_DIR"):
        monkeypatch.setenv(name, "1")
        monkeypatch.delenv(name)
    held = {number: signal.getsignal(number) for number in SIGNALS}

    def call(entry: str, **options: Any) -> Ran:
        spec = spec_of(tmp_path, entry, **options)
        path = tmp_path / "spec.json"
        spec.write(path)
        return Ran(agent.run(spec, path), tmp_path)

    yield call
    for number, handler in held.items():
        signal.signal(number, handler)


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


@pytest.mark.parametrize(
    ("options", "code", "told"),
    [
        ({"kind": "error"}, 3, ("bad-data", "the data are bad", 1)),
        ({"kind": "bug"}, 1, ("child-crashed", "ValueError: a bug", 1)),
        ({"kind": "bug", "rank": 0, "num_procs": 3}, 1, ("child-crashed", "ValueError: a bug", 0)),
        ({"kind": "bug", "deaf": True}, 1, ("child-crashed", "ValueError: a bug", 1)),
        ({"kind": "kill"}, 137, ("rank-died", "rank 1 of 2 ended by signal SIGKILL", 1)),
        ({"kind": "kill", "deaf": True}, 137, ("rank-died", "rank 1 of 2 ended by signal SIGKILL", 1)),
        ({"kind": "7"}, 7, ("rank-died", "rank 1 of 2 ended with exit code 7", 1)),
        ({"kind": "0"}, 1, ("rank-died", "rank 1 of 2 ended with exit code 0, before it was done", 1)),
        ({"kind": "workers"}, 1, ("child-crashed", "ValueError: with a child of its own", 1)),
    ],
    ids=str,
)
def test_a_failing_rank_is_reported_once_and_none_is_left(
    run: Run, options: dict[str, Any], code: int, told: tuple[str, str, int]
) -> None:
    ran = run("trouble", **options)
    assert ran.code == code
    assert (ran.error["code"], ran.error["message"], ran.error["details"]["rank"]) == told
    host = socket.gethostname()
    where = f"on rank {told[2]} of {options.get('num_procs', 2)}, host {host}, with exit code {code}"
    assert ran.error["causes"][-1] == (f"on host {host}" if told[0] == "rank-died" else where)
    assert ran.error["details"]["host"] == host
    assert ran.error["hints"] == (["look at them"] if told[0] == "bad-data" else [])
    assert len([name for name in ran.pids if name.startswith("rank")]) == options.get("num_procs", 2)
    wait_until(lambda: not any(map(is_running, ran.pids.values())))


def test_an_entry_that_cannot_be_imported_is_one_error(run: Run) -> None:
    ran = run("no_such_function")
    assert ran.code == 1
    assert "no_such_function" in ran.error["message"]


def test_ranks_that_lose_another_do_not_tell_of_it(run: Run) -> None:
    ran = run("exchange", kind="bug", rank=1)
    assert (ran.code, ran.error["message"], ran.error["details"]["rank"]) == (1, "ValueError: a bug", 1)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "code", "word"),
    [
        ("nan", "loss-not-finite", "loss_plane"),
        ("worker", "worker-died", "loads data"),
        ("error", "child-crashed", "ValueError"),
    ],
)
def test_data_that_are_bad_on_one_rank_are_that_ranks_error(run: Run, kind: str, code: str, word: str) -> None:
    ran = run("train", kind=kind)
    assert (ran.error["code"], ran.error["details"]["rank"]) == (code, 1)
    assert word in ran.error["message"]
    wait_until(lambda: not any(map(is_running, ran.pids.values())))


def test_a_rank_that_hangs_is_named_with_the_place_where_it_is(run: Run) -> None:
    ran = run("exchange", kind="hang", rank=1, timeout=10)
    assert ran.error["code"] == "rank-timeout"
    assert ran.error["message"] == "rank 0 waited too long for the other ranks"
    [place] = [each for each in ran.error["causes"] if each.startswith("rank 1 is at")]
    assert "rank_entries.py" in place
    assert place.endswith("in hang")
    wait_until(lambda: not any(map(is_running, ran.pids.values())))


def test_what_another_job_left_in_the_shell_does_not_matter(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    foreign = {
        "MASTER_ADDR": "192.0.2.1",
        "MASTER_PORT": "1",
        "WORLD_SIZE": "5",
        "RANK": "4",
        "LOCAL_RANK": "4",
        "GROUP_RANK": "2",
        "TORCHELASTIC_RUN_ID": "other",
        "TORCHELASTIC_USE_AGENT_STORE": "False",
        "RDZV_ENDPOINT": "192.0.2.1:1",
        "PET_RDZV_ENDPOINT": "192.0.2.1:1",
    }
    for name, value in foreign.items():
        monkeypatch.setenv(name, value)
    ran = run("exchange")
    assert (ran.code, ran.result["total"]) == (0, 3)
    cores = len(os.sched_getaffinity(0))
    assert [each[0] for each in ran.result["ranks"]] == [str(max(1, cores // 2))] * 2
    assert [each[3] for each in ran.result["ranks"]] == ["2"] * 2


def test_a_busy_port_is_a_clear_error(run: Run) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        ran = run("exchange", port=taken.getsockname()[1])
    assert ran.code == 1
    assert ran.error["code"] == "port-in-use"
    assert "--port" in ran.error["hints"][0]


def start_agent(folder: Path, entry: str, **options: Any) -> subprocess.Popen[str]:
    spec = spec_of(folder, entry, **options)
    spec.write(folder / "spec.json")
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(HERE)]),
        "TEST_PIDS": str(folder / "pids"),
        "OMP_NUM_THREADS": "1",
    }
    argv = [sys.executable, "-P", "-m", "mimctl.engine.agent", str(folder / "spec.json")]
    return subprocess.Popen(argv, env=environment, stderr=subprocess.PIPE, text=True, start_new_session=True)


def wait_for_ranks(folder: Path, count: int = 2) -> dict[str, int]:
    wait_until(lambda: len(list((folder / "pids").glob("rank-*"))) == count)
    return pids_in(folder)


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)],
)
def test_ranks_end_with_their_agent(tmp_path: Path, number: signal.Signals, code: int) -> None:
    process = start_agent(tmp_path, "trouble", kind="0", rank=9)
    pids = wait_for_ranks(tmp_path)
    process.send_signal(number)
    assert process.wait(240) == code
    assert process.stderr is not None
    assert process.stderr.read() == ""
    wait_until(lambda: not any(map(is_running, pids.values())))


def test_two_jobs_at_once_do_not_meet(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("one", "two")]
    agents = [start_agent(folder, "exchange") for folder in folders]
    assert [each.wait(240) for each in agents] == [0, 0]
    ran = [Ran(0, folder) for folder in folders]
    assert [each.result["total"] for each in ran] == [3, 3]
    for each in ran:
        seen = {rank[4] for rank in each.result["ranks"]}
        assert seen == set(each.pids.values()), "each rank met the ranks of its own job alone"
    ports = {rank[2] for each in ran for rank in each.result["ranks"]}
    assert len(ports) == 2

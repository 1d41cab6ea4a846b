"""Trials of this machine: on GPUs of their own, with what they printed kept, ended when their sweep was killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from patience import wait_until

from mimctl.launch.model import LaunchPlan
from mimctl.launch.processes.process_table import start_time
from mimctl.launch.runs.record import RunRecord, record_of
from mimctl.launch.sweep.here import Here, end_orphan, gpu_groups, visible_names
from mimctl.launch.sweep.queue import Going, run_all
from mimctl.spec import LauncherFacts, RunSpec


def plan_of(folder: Path, program: str, *, gpus: int = 0) -> LaunchPlan:
    """Return a plan that runs a program of Python in the place of a training."""
    folder.mkdir(parents=True, exist_ok=True)
    spec = RunSpec(
        plugin="toy",
        package="toy",
        action="train",
        entry="toy:train",
        mimctl_version="0",
        launcher=LauncherFacts(device="cuda" if gpus else "cpu", num_procs=gpus or 1),
        events_path=str(folder / "events.jsonl"),
        result_path=str(folder / "result.json"),
    )
    return LaunchPlan(spec=spec, spec_path=folder / "spec.json", argv=(sys.executable, "-c", program))


def record(plan: LaunchPlan) -> RunRecord:
    return record_of(plan, "toy", "toy")


@pytest.mark.parametrize(
    ("gpus", "size", "groups"),
    [
        (["0", "1", "2", "3"], 1, ["0", "1", "2", "3"]),
        (["0", "1", "2", "3", "4"], 2, ["0,1", "2,3"]),
        (["GPU-a", "GPU-b"], 2, ["GPU-a,GPU-b"]),
        (["0"], 2, []),
        ([], 1, []),
    ],
)
def test_gpus_are_dealt_in_groups(gpus: list[str], size: int, groups: list[str]) -> None:
    assert gpu_groups(gpus, size) == groups


@pytest.mark.parametrize(
    ("number", "shown", "names"),
    [
        (2, None, ["0", "1"]),
        (2, "3, 5", ["3", "5"]),
        (1, "MIG-x,MIG-y", ["MIG-x"]),
        (0, "", []),
        (2, "", ["0", "1"]),
    ],
)
def test_gpus_are_called_as_the_environment_calls_them(number: int, shown: str | None, names: list[str]) -> None:
    assert visible_names(number, shown) == names


def test_trials_side_by_side_see_gpus_of_their_own_and_share_where_there_are_too_few(tmp_path: Path) -> None:
    tells = "import os, time, pathlib; print(os.environ['CUDA_VISIBLE_DEVICES'], flush=True)\n"
    mark = f"pathlib.Path({str(tmp_path / 'go')!r})"
    waits = f"while not {mark}.exists(): time.sleep(0.05)"
    plans = [
        plan_of(tmp_path / str(number), tells + then, gpus=2)
        for number, then in enumerate([waits, "", f"{mark}.touch()", "time.sleep(0.5)"])
    ]
    here = Here(["a", "b", "c", "d"])
    started: list[Going] = []

    def begin(number: int) -> Going:
        started.append(here.begin(number, plans[number], record(plans[number])))
        return started[-1]

    told: list[int] = []
    run_all((begin(number) for number in range(3)), most=2, told=told.append)
    seen = [(tmp_path / str(number) / "output.txt").read_text().strip() for number in range(3)]
    assert seen == ["a,b", "c,d", "c,d"], "the third trial gets what the second one left"
    assert told[0] == 1
    crowd = [here.begin(number, plans[3], record(plans[3])) for number in range(3)]
    run_all(iter(crowd), most=3, told=told.append)
    assert sorted((tmp_path / "3/output.txt").read_text().split()) in (["a,b", "a,b", "c,d"], ["a,b", "c,d", "c,d"])


def test_what_a_trial_died_of_is_kept_with_its_last_words(tmp_path: Path) -> None:
    program = "import os, signal; print('loading', flush=True); os.kill(os.getpid(), signal.SIGSEGV)"
    plan = plan_of(tmp_path / "run", program)
    run_all(iter([Here().begin(0, plan, record(plan))]), most=1, told=lambda number: None)
    error = json.loads((tmp_path / "run/events.jsonl").read_text())
    assert error["message"] == "train ended with signal SIGSEGV"
    assert error["causes"] == ["loading"]
    assert (tmp_path / "run/exit_code").read_text() == "139\n"


@pytest.mark.parametrize("is_deaf", [False, True])
def test_what_a_killed_sweep_left_running_is_ended_with_all_below_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_deaf: bool
) -> None:
    monkeypatch.setattr("mimctl.launch.sweep.here.ORPHAN_S", 0.5)
    below = "import subprocess; subprocess.Popen(['sleep', '900'])"
    deaf = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)"
    quick = "import os, signal; signal.signal(signal.SIGTERM, lambda *_: os.killpg(0, signal.SIGKILL))"
    program = f"{deaf if is_deaf else quick}\n{below}\nprint('up', flush=True)\nimport time\ntime.sleep(900)"
    process = subprocess.Popen(
        [sys.executable, "-c", program], start_new_session=True, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    plan = plan_of(tmp_path / "run", program)
    own = record(plan)
    started = start_time(process.pid)
    other = RunRecord(**{**_fields(own), "pid": process.pid, "pid_started": "1"})
    end_orphan(other)
    assert process.poll() is None, "a later process that got the same number is left alone"
    end_orphan(RunRecord(**{**_fields(own), "pid": process.pid, "pid_started": started}))
    assert process.wait(timeout=240) == -signal.SIGKILL
    wait_until(lambda: not _group_is_there(process.pid))


def _group_is_there(group: int) -> bool:
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            facts = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(facts[2]) == group and facts[0] not in "ZX":
            return True
    return False


def _fields(own: RunRecord) -> dict[str, object]:
    return {name: getattr(own, name) for name in RunRecord.__slots__}


def test_those_that_run_are_ended_together_where_somebody_interrupts(tmp_path: Path) -> None:
    deaf = "import signal, time; [signal.signal(n, signal.SIG_IGN) for n in (2, 15)]; print('up', flush=True)"
    num = 12
    plans = [plan_of(tmp_path / str(number), f"{deaf}; time.sleep(900)") for number in range(num)]
    here = Here()
    began = 0.0

    def interrupted() -> Iterator[Going]:
        nonlocal began
        for number, plan in enumerate(plans):
            yield here.begin(number, plan, record(plan))
        wait_until(lambda: all((tmp_path / str(n) / "output.txt").read_text() for n in range(num)))
        began = time.monotonic()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_all(interrupted(), most=num + 1, told=lambda number: None)
    assert time.monotonic() - began < 30, "each takes 3.5 seconds to be ended"
    for number in range(num):
        pid = json.loads((tmp_path / str(number) / "run.json").read_text())["pid"]
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
        assert (tmp_path / str(number) / "exit_code").read_text() == "130\n"

"""Starting a child: its events, its last words, its end; with Python itself as the child."""

from __future__ import annotations

import json
import os
import sys
import threading
from pathlib import Path

import pytest

from mimctl.launch.failure import error_of
from mimctl.launch.model import LaunchPlan
from mimctl.launch.processes.events import EventReader
from mimctl.launch.processes.local import run
from mimctl.launch.processes.process_table import descendants
from mimctl.spec import RunSpec


class Witness:
    def __init__(self) -> None:
        self.events: list[object] = []
        self.lines: list[str] = []

    def event(self, event) -> None:
        self.events.append(event)

    def line(self, text: str) -> None:
        self.lines.append(text)


def plan_of(tmp_path: Path, code: str, **rest) -> LaunchPlan:
    spec = RunSpec(
        plugin="toy",
        package="mimctl_toy",
        action="train",
        entry="x:y",
        mimctl_version="0",
        events_path=str(tmp_path / "events.jsonl"),
        result_path=str(tmp_path / "result.json"),
    )
    return LaunchPlan(spec=spec, spec_path=tmp_path / "spec.json", argv=(sys.executable, "-c", code), **rest)


def test_events_lines_and_the_result_come_through(tmp_path):
    code = (
        "import json; out = open('EVENTS', 'a')\n"
        "for step in range(3): out.write(json.dumps({'event': 'step', 'step': step}) + '\\n'); out.flush()\n"
        "print('hello'); open('RESULT', 'w').write('{\"metrics\": {}}')\n"
    )
    code = code.replace("EVENTS", str(tmp_path / "events.jsonl")).replace("RESULT", str(tmp_path / "result.json"))
    witness = Witness()
    outcome = run(plan_of(tmp_path, code), witness)
    assert (outcome.exit_code, outcome.result, outcome.error) == (0, {"metrics": {}}, None)
    assert [each["step"] for each in witness.events] == [0, 1, 2]
    assert witness.lines == ["hello"]


def test_half_a_line_waits_for_its_end(tmp_path):
    path = tmp_path / "events"
    reader = EventReader(path)
    assert list(reader.read()) == []
    path.write_bytes(b'{"event": "a"}\n{"eve')
    assert list(reader.read()) == [{"event": "a"}]
    with path.open("ab") as stream:
        stream.write(b'nt": "b"}\nnot json\n[1]\n')
    assert list(reader.read()) == [{"event": "b"}]


@pytest.mark.parametrize(
    ("code", "exit_code", "said"),
    [
        ("import os; os._exit(9)", 9, "train ended with exit code 9"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", 137, "train ended with signal SIGKILL"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGTERM)", 143, "train was stopped by SIGTERM"),
    ],
)
def test_the_end_of_a_child_is_told_with_its_code(tmp_path, code, exit_code, said):
    plan = plan_of(tmp_path, code)
    outcome = run(plan, Witness())
    error = error_of(outcome, plan)
    assert (outcome.exit_code, error.exit_code, error.message) == (exit_code, exit_code, said)


def test_a_target_without_the_engine_is_named(tmp_path):
    plan = plan_of(tmp_path, "raise SystemExit(\"Error while finding module: No module named 'mimctl'\")")
    error = error_of(run(plan, Witness()), plan)
    assert error.code == "engine-missing"
    assert "mimctl install toy --python" in error.hints[0]


def test_what_the_child_leaves_behind_is_ended(tmp_path):
    code = "import os, time\nif os.fork() == 0: time.sleep(900)\nelse: print(os.getpid(), flush=True)"
    before = set(descendants(os.getpid()))
    outcome = run(plan_of(tmp_path, code), Witness())
    assert outcome.exit_code == 0
    assert set(descendants(os.getpid())) <= before


def test_variables_are_set_and_taken_away(tmp_path, monkeypatch):
    monkeypatch.setenv("RANK", "3")
    witness = Witness()
    code = "import os; print(os.environ.get('RANK'), os.environ['MINE'])"
    run(plan_of(tmp_path, code, environment={"MINE": "1"}, unset=("RANK",)), witness)
    assert witness.lines == ["None 1"]


def test_a_run_may_be_started_from_a_thread(tmp_path):
    codes: list[int] = []
    thread = threading.Thread(target=lambda: codes.append(run(plan_of(tmp_path, "pass"), Witness()).exit_code))
    thread.start()
    thread.join(timeout=240)
    assert codes == [0]


def test_the_specification_is_written_before_the_start(tmp_path):
    witness = Witness()
    run(plan_of(tmp_path, f"print(open({str(tmp_path / 'spec.json')!r}).read())"), witness)
    assert json.loads("\n".join(witness.lines))["plugin"] == "toy"

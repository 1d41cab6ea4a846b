"""Runs looked after over a network file system that keeps for a minute what it was told of files (60 s attributes)."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from mimctl.launch.processes.process_table import start_time
from mimctl.launch.runs.book import RunBook
from mimctl.launch.runs.record import RunRecord

WRITER = """\
cd "$1"
while [ ! -e "$3" ]; do sleep 0.1; done
sleep 2; echo one >> "$2"; echo '{"event": "step", "time": 1, "step": 1, "steps": 2}' >> events.jsonl
sleep 2; echo two >> "$2"; printf thr >> "$2"
sleep 1; echo ee >> "$2"; echo '{"event": "done", "time": 2}' >> events.jsonl
echo '{"checkpoint": "x.pth"}' > result.json; echo 0 > exit_code
"""
FOLLOWER = """\
import dataclasses, json, sys
from pathlib import Path
from mimctl.launch.slurm.follow import follow

class Listener:
    def event(self, event): told.append(event["event"])
    def line(self, text): told.append(text)

told = []
outcome = follow("7", Path(sys.argv[1]), Listener())
print(json.dumps([told, outcome.exit_code, outcome.result]))
"""
HOLDER = """\
import sys, time
with open(sys.argv[1], "rb") as stream:
    stream.read()
    print("open", flush=True)
    sys.stdin.readline()
    print(stream.read(), flush=True)
"""


@pytest.fixture(scope="module")
def cached(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """Return the environment of a process that sees a folder, `CACHED_BELOW`, through such a file system."""
    compiler = shutil.which("cc")
    if compiler is None or not sys.platform.startswith("linux"):
        pytest.skip("what stands for the file system needs Linux and a C compiler")
    folder = tmp_path_factory.mktemp("cached")
    library = folder / "attribute_cache.so"
    source = Path(__file__).with_name("attribute_cache.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"], check=True)
    return {**os.environ, "LD_PRELOAD": str(library), "CACHED_BELOW": str(folder / "runs")}


@pytest.fixture
def run_dir(cached: Mapping[str, str], request: pytest.FixtureRequest) -> Path:
    folder = Path(cached["CACHED_BELOW"]) / request.node.name
    folder.mkdir(parents=True)
    return folder


def write(run_dir: Path, log: str, begins: Path) -> subprocess.Popen[bytes]:
    """Start the other machine: it sees the folder as it is, and waits for a file before it writes."""
    return subprocess.Popen(["bash", "-c", WRITER, "writer", run_dir, log, begins])


def test_whoever_keeps_a_file_open_sees_nothing_of_what_is_added(cached: Mapping[str, str], run_dir: Path) -> None:
    (run_dir / "log").write_text("one\n")
    argv = [sys.executable, "-c", HOLDER, str(run_dir / "log")]
    holder = subprocess.Popen(argv, env=cached, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "open\n"
    with (run_dir / "log").open("a") as stream:
        stream.write("two\n")
    told, _ = holder.communicate("\n", timeout=240)
    assert told == "b''\n", "else the stand-in proves nothing"


def test_a_log_is_followed_to_its_end(cached: Mapping[str, str], run_dir: Path, tmp_path: Path) -> None:
    writer = write(run_dir, f"{run_dir.name}.log", tmp_path)
    record = RunRecord(
        run_id="abcdef",
        name="net",
        plugin="det",
        action="train",
        config="net.py",
        work_dir=None,
        run_dir=str(run_dir),
        launcher="none",
        started=1.0,
        host=os.uname().nodename,
        argv=("python",),
        pid=writer.pid,
        pid_started=start_time(writer.pid),
    )
    RunBook(tmp_path / "runs").add(record)
    environment = {**cached, "MIMCTL_HOME": str(tmp_path)}
    argv = [sys.executable, "-P", "-m", "mimctl", "logs", "-f", "abcdef"]
    follower = subprocess.Popen(argv, env=environment, stdout=subprocess.PIPE, text=True)
    writer.wait()
    told, _ = follower.communicate(timeout=240)
    assert told.splitlines() == ["one", "two", "three"]
    state = json.loads(subprocess.check_output([*argv[:4], "status", "abcdef", "--json"], env=environment))
    assert (state["state"], state["step"]["step"]) == ("done", 1)


def test_a_job_is_followed_to_its_end(cached: Mapping[str, str], run_dir: Path, tmp_path: Path) -> None:
    queue = tmp_path / "squeue"
    queue.write_text(
        f"#!/bin/sh\n[ -e '{run_dir}/exit_code' ] && state=COMPLETED\necho \"7|${{state:-RUNNING}}||n1\"\n"
        f"touch '{tmp_path}/asked'\n"
    )
    queue.chmod(0o755)
    environment = {**cached, "PATH": f"{tmp_path}{os.pathsep}{cached['PATH']}"}
    follower = subprocess.Popen(
        [sys.executable, "-c", FOLLOWER, str(run_dir)], env=environment, stdout=subprocess.PIPE, text=True
    )
    writer = write(run_dir, "slurm-7.out", tmp_path / "asked")
    told, _ = follower.communicate(timeout=240)
    writer.wait()
    lines, code, result = json.loads(told)
    expected = ["job 7: running on n1", "step", "one", "two", "done", "three", "job 7: completed on n1"]
    assert sorted(lines) == sorted(expected)
    assert (code, result) == (0, {"checkpoint": "x.pth"})

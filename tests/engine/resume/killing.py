"""Start a training as `mimctl train` does, kill it with SIGKILL at seeded random moments, resume it, compare."""

from __future__ import annotations

import itertools
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from pprint import pformat
from typing import Any

import torch
from cases import ITERATIONS, Case, config_of
from torch import Tensor

from mimctl import __version__
from mimctl.spec import LauncherFacts, RunSpec

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
PAUSE_S = 0.02
WAIT_S = 300.0
NEVER_EQUAL = ("time", "cfg", "experiment_name", "eta")
"""What of a checkpoint is about the moment, the folder or the name of a run, not about its training."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of one killed training."""

    case: Case
    kills: int
    inside_saves: int
    of_one_process: int
    compared: int
    """Lines of iterations and validations that were compared, those that were done twice included."""


class Life:
    """One process tree of a training, from its start to its end or its death."""

    def __init__(self, case: Case, config: Path, work_dir: Path, *, resume: bool) -> None:
        self.work_dir = work_dir
        self.tag = f"MIMCTL_KILLED_RUN={uuid.uuid4()}"
        folder = work_dir / f"20260101_000000_{len(list(work_dir.glob('2026*')))}"
        self.events = folder / "events.jsonl"
        kind = "pytorch" if case.ranks > 1 else "none"
        spec = RunSpec(
            plugin="toy",
            package="toy",
            action="train",
            entry="mimctl.engine.actions:train",
            mimctl_version=__version__,
            config=str(config),
            work_dir=str(work_dir),
            resume="auto" if resume else None,
            events_path=str(self.events),
            result_path=str(folder / "result.json"),
            launcher=LauncherFacts(kind=kind, num_procs=case.ranks),
        )
        path = work_dir.parent / f"spec-{uuid.uuid4().hex[:6]}.json"
        spec.write(path)
        name, _, value = self.tag.partition("=")
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", name: value}
        self.output = work_dir.parent / f"output-{uuid.uuid4().hex[:6]}.txt"
        module = "agent" if case.ranks > 1 else "child"
        with self.output.open("wb") as stream:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", f"mimctl.engine.{module}", str(path)],
                cwd=HERE, env=environment, stdout=stream, stderr=stream, start_new_session=True,
            )  # fmt: skip

    def finish(self) -> None:
        assert self.process.wait(WAIT_S) == 0, self.output.read_text()[-2000:] + self.events.read_text()[-2000:]

    def has_ended(self) -> bool:
        return self.process.poll() is not None

    def processes(self) -> list[int]:
        """Return the processes of this training by the mark in their environment, whatever group they went to."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    if self.tag.encode() in (entry / "environ").read_bytes():
                        found.append(int(entry.name))
                except OSError:
                    continue
        return found

    def trainers(self) -> list[int]:
        """Return the processes that train: the child, or one for each rank."""
        return [pid for pid in self.processes() if b"mimctl.engine.child" in _command(pid) and not _is_worker(pid)]

    def kill(self, victims: list[int]) -> None:
        for pid in victims:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue

    def kill_all(self) -> None:
        """Kill the whole tree at once, as a machine that loses its power does."""
        while running := [pid for pid in self.processes() if _stat(pid)[0] not in ("Z", "")]:
            self.kill(running)
        self.process.wait(WAIT_S)

    def kill_one(self, chance: random.Random) -> None:
        """Kill one process that trains, as a machine that runs out of memory does; what is left ends by itself."""
        if trainers := self.trainers():
            self.kill([chance.choice(trainers)])
        assert self.process.wait(WAIT_S) != 0


def killed_training(case: Case, folder: Path, *, kills: int, seed: int) -> Outcome:
    """Run a case to its end once, and once with kills; every comparison is an assertion."""
    whole, parts = folder / "whole", folder / "parts"
    config = {each: write_config(case, each) for each in (whole, parts)}
    Life(case, config[whole], whole / "run", resume=False).finish()
    chance = random.Random(seed)
    done, inside_saves, of_one = 0, 0, 0
    while done < kills:
        before = _half_written(parts / "run")
        life = Life(case, config[parts], parts / "run", resume=done > 0)
        moment = chance.choice(("save", "save", "any", "any", "one", "start"))
        # Kills are spread over the training: each waits for an iteration of its own part of it.
        _wait_for(moment, life, before, int((done + chance.random() * 0.9) / kills * (ITERATIONS - 3)), chance)
        if life.has_ended():
            life.finish()
            break
        if moment == "one":
            life.kill_one(chance)
        else:
            life.kill_all()
        done += 1
        of_one += moment == "one"
        inside_saves += bool(_half_written(parts / "run") - before)
        _require_readable(parts / "run")
    Life(case, config[parts], parts / "run", resume=True).finish()
    _require_readable(parts / "run")
    if "loss_scale" in case.changes.get("optim_wrapper", {}):
        _require_moving_scale(whole)
    compared = _require_same_records(case, whole, parts)
    _require_same_checkpoints(whole / "run", parts / "run")
    return Outcome(case=case, kills=done, inside_saves=inside_saves, of_one_process=of_one, compared=compared)


def killed_at(life: Life, *, iteration: int) -> None:
    """Kill a training after an iteration."""
    records = life.work_dir.parent / "record-0.jsonl"
    _until(life, lambda: _last_iteration(records) >= iteration)
    assert not life.has_ended(), life.output.read_text()[-3000:]
    life.kill_all()


def _wait_for(moment: str, life: Life, before: set[str], iteration: int, chance: random.Random) -> None:
    """Wait for a random moment of a kind at or after an iteration, or for the end of the training."""
    if moment == "start":
        time.sleep(chance.uniform(0.1, 4.0))
        return
    records = life.work_dir.parent / "record-0.jsonl"
    size = _size(records)
    _until(life, lambda: _size(records) > size and _last_iteration(records) >= iteration)
    if moment == "save":
        _until(life, lambda: bool(_half_written(life.work_dir) - before))
        time.sleep(chance.uniform(0, 0.02))
    else:
        time.sleep(chance.uniform(0, 2 * PAUSE_S))


def _until(life: Life, happened: Callable[[], bool]) -> None:
    limit = time.monotonic() + WAIT_S
    while not happened() and not life.has_ended():
        assert time.monotonic() < limit, life.output.read_text()[-4000:]
        time.sleep(0.001)


def _half_written(work_dir: Path) -> set[str]:
    return {path.name for path in work_dir.iterdir() if path.suffix == ".tmp"} if work_dir.is_dir() else set()


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _last_iteration(path: Path) -> int:
    lines = path.read_text().splitlines() if path.exists() else []
    return int(json.loads(lines[-1])["at"].split()[1]) if lines else -1


def _require_readable(work_dir: Path) -> None:
    for path in work_dir.glob("*.pth") if work_dir.is_dir() else ():
        assert torch.load(path, weights_only=True)["state_dict"]


def _require_same_records(case: Case, whole: Path, parts: Path) -> int:
    """Require that whatever was computed, once or again after a kill, is what the uninterrupted run computed."""
    compared = 0
    for rank in range(case.ranks):
        expected = {each["at"]: each for each in _records(whole, rank)}
        found = _records(parts, rank)
        for record in found:
            assert record == expected[record["at"]]
        assert {each["at"] for each in found} == expected.keys()
        compared += len(found)
    return compared


def _require_moving_scale(folder: Path) -> None:
    scales = [each["scale"] for each in _records(folder, 0) if "scale" in each]
    steps = {(later > earlier) - (later < earlier) for earlier, later in itertools.pairwise(scales)}
    assert steps == {-1, 0, 1}, "the scale grows, stays, and falls where a step overflows and is left out"


def _records(folder: Path, rank: int) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / f"record-{rank}.jsonl").read_text().splitlines()]


def _require_same_checkpoints(whole: Path, parts: Path) -> None:
    names = sorted(path.name for path in whole.glob("*.pth"))
    assert [Path((each / "last_checkpoint").read_text()).name for each in (whole, parts)] == [names_last(names)] * 2
    assert set(names) <= {path.name for path in parts.glob("*.pth")}
    for name in names:
        expected, found = (torch.load(each / name, weights_only=True) for each in (whole, parts))
        assert_equal(expected, found, name)


def names_last(names: list[str]) -> str:
    """Return the name of the newest of numbered checkpoints."""
    numbered = [name for name in names if name.startswith("iter_")]
    return max(numbered, key=lambda name: int(re.sub(r"\D", "", name)))


def assert_equal(expected: Any, found: Any, place: str) -> None:
    """Require equality of nested data, tensors and floats bit for bit."""
    assert type(expected) is type(found), place
    if isinstance(expected, Tensor):
        assert expected.dtype == found.dtype, place
        assert expected.shape == found.shape, place
        assert expected.contiguous().view(-1).view(torch.uint8).equal(found.contiguous().view(-1).view(torch.uint8)), (
            place
        )
    elif isinstance(expected, dict):
        assert expected.keys() == found.keys(), place
        for key in expected.keys() - set(NEVER_EQUAL):
            assert_equal(expected[key], found[key], f"{place}: {key}")
    elif isinstance(expected, list | tuple):
        assert len(expected) == len(found), place
        for number, (one, other) in enumerate(zip(expected, found, strict=True)):
            assert_equal(one, other, f"{place}: {number}")
    elif isinstance(expected, float):
        assert expected.hex() == found.hex(), place
    else:
        assert expected == found, place


def write_config(case: Case, folder: Path) -> Path:
    """Make the folder of a training and write its config there."""
    folder.mkdir()
    path = folder / "toy.py"
    config = config_of(case, str(folder), PAUSE_S)
    path.write_text("".join(f"{key} = {pformat(value)}\n" for key, value in config.items()))
    return path


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def _stat(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ["", "0"]


def _is_worker(pid: int) -> bool:
    """Return whether a process is a child of one with the same command: a process that loads data."""
    return _command(pid) == _command(int(_stat(pid)[1]))

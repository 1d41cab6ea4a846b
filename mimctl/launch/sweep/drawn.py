"""A sweep whose points are drawn one after the other, by what the trials before have brought."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

from mimctl.errors import MimctlError
from mimctl.launch.model import LaunchPlan
from mimctl.launch.runs.files import append_error, clear_end, write_exit_code
from mimctl.launch.runs.record import RunRecord
from mimctl.launch.sweep.axes import Point
from mimctl.launch.sweep.bench import Bench, Prepared, write_trial
from mimctl.launch.sweep.goal import Goal, Validations, goal_of
from mimctl.launch.sweep.hands import adopt, taken_up
from mimctl.launch.sweep.jobs import Jobs
from mimctl.launch.sweep.model import (
    JUDGING,
    Sweep,
    Trial,
    described,
    points_of,
    run_dir,
    trial_of,
    write_point,
    write_pruned,
)
from mimctl.launch.sweep.queue import Going, run_all
from mimctl.launch.sweep.study import Study

Tell = Callable[[str], None]


class Hand(Protocol):
    """Who starts trials, and looks after those that an earlier sweep has left."""

    pause_s: float

    def begin(self, number: int, plan: LaunchPlan, record: RunRecord) -> Going:
        """Start a trial whose specification is written."""


class Drawn:
    """The trials of a sweep and the study that draws them, kept in step."""

    def __init__(self, sweep: Sweep, study: Study, bench: Bench, hand: Hand, *, tell: Tell) -> None:
        self._sweep, self._study, self._bench, self._hand, self._tell = sweep, study, bench, hand, tell
        self._folder = bench.folder
        self._total = bench.options.trials or 0
        self._goal: Goal | None = None
        self._prepared: dict[int, Prepared] = {}
        self._validations: dict[int, Validations] = {}
        self._points = points_of(bench.folder, sweep)
        self._adopted: list[Going] = []
        self._again: list[int] = []

    def run(self, most: int, jobs: Jobs) -> None:
        """Draw and run trials until there are as many as were asked for; `jobs` looks after those submitted before."""
        self._take_up(jobs)
        run_all(
            self._started(),
            most=most,
            told=self._told,
            is_worse=self._is_worse if self._sweep.sampler == "asha" else None,
            pause_s=self._hand.pause_s,
        )

    def _take_up(self, jobs: Jobs) -> None:
        """Bring the study up to what has become of its trials while nobody looked."""
        drawn, kept = len(self._study), len(self._points)
        if drawn < kept:
            raise MimctlError(
                f"the journal of the sweep in `{self._folder}` knows {drawn} of its {kept} trials",
                code="no-sweep",
                hints=["its trials are there: `mimctl sweep report`", "draw anew in another folder: `--work-dir DIR`"],
            )
        for number in range(kept, drawn):
            self._keep(number, self._study.point(number))
        for trial in taken_up(self._folder, self._points):
            if trial.phase in ("done", "pruned"):
                self._settle(trial)
            elif trial.is_going:
                self._prepared[trial.number] = self._bench.prepare(trial.number, trial.point)
                self._adopted.append(adopt(trial, jobs))
            else:
                self._again.append(trial.number)

    def _started(self) -> Iterator[Going]:
        """Yield the trials: those that run, those that are tried again, and new ones, which are drawn now."""
        yield from self._adopted
        for number in self._again:
            yield from self._begin(number)
        while len(self._study) < self._total:
            number, point = self._study.draw()
            self._keep(number, point)
            yield from self._begin(number)

    def _begin(self, number: int) -> Iterator[Going]:
        trial = self._trial(number)
        try:
            prepared = self._bench.prepare(number, trial.point, goes_on=trial.state is not None)
        except MimctlError as err:
            self._refuse(number, err)
            return
        self._prepared[number] = prepared
        write_trial(prepared)
        yield self._hand.begin(number, prepared.plan, prepared.record)

    def _refuse(self, number: int, err: MimctlError) -> None:
        """Write down that a point cannot be trained: the others can."""
        folder = run_dir(self._folder, number)
        folder.mkdir(parents=True, exist_ok=True)
        clear_end(folder)
        name = f"{self._folder.name}-{number}"
        record = RunRecord(
            run_id=name,
            name=name,
            plugin=self._sweep.plugin,
            action="train",
            config=self._sweep.config,
            work_dir=str(folder.parent),
            run_dir=str(folder),
            launcher="none",
            started=time.time(),
            host=socket.gethostname(),
            argv=(),
        )
        record.write()
        append_error(folder, err.to_dict())
        write_exit_code(folder, err.exit_code)
        self._tell(f"trial {number} of {self._total}: not started: {err.message}")

    def _is_worse(self, number: int) -> bool:
        """Return whether a trial is given up, by the validations that came since the last look."""
        at = self._judge(number)
        if at is not None:
            write_pruned(self._folder, number, validations=at)
        return at is not None

    def _judge(self, number: int) -> int | None:
        """Hand the trial's new validations to the study; return the first one after which it should have stopped."""
        stops = None
        seen = self._validations.setdefault(number, Validations(run_dir(self._folder, number)))
        for validation, event in seen.new():
            goal = self._aim(event["metrics"])
            is_worse = self._study.judge(number, validation, goal.cost(event["metrics"]))
            if is_worse and stops is None and not self._prepared[number].is_last(event):
                stops = validation
        return stops

    def _aim(self, metrics: Mapping[str, Any]) -> Goal:
        if self._goal is None:
            self._goal = goal_of(self._sweep, metrics)
            which = "the smallest" if self._goal.direction == "min" else "the largest"
            self._tell(f"trials are judged by `{self._goal.metric}`, {which} the best")
        return self._goal

    def _told(self, number: int) -> None:
        if self._sweep.sampler == "asha":
            self._judge(number)  # what a quick trial has told since the last look counts for the others
        trial = self._trial(number)
        self._settle(trial)
        self._tell(described(trial, self._total))

    def _settle(self, trial: Trial) -> None:
        """Tell the study how a trial ended; what failed or was stopped stays open, for it may be tried again."""
        if not self._study.is_open(trial.number):
            return
        if trial.phase == "pruned":
            self._study.tell_pruned(trial.number)
        elif trial.phase == "done" and self._sweep.sampler in JUDGING:
            self._study.tell(trial.number, self._aim(trial.metrics).cost(trial.metrics))

    def _keep(self, number: int, point: Point) -> None:
        write_point(self._folder, number, point)
        self._points.append(point)

    def _trial(self, number: int) -> Trial:
        return trial_of(self._folder, number, self._points[number])

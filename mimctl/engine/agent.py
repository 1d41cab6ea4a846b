"""Start one child per rank on this node (torch's elastic launch), stop them all when one fails, start them again.

`python -P -m mimctl.engine.agent spec.json`, on each node of the run. The first failing rank's own error is reported
once, with its rank and host.
"""

from __future__ import annotations

import itertools
import os
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from mimctl.engine.child import report, start
from mimctl.engine.nodes.gathering import gather
from mimctl.engine.nodes.team import Alone
from mimctl.engine.nodes.verdict import NODE_LOST, Outcome, Verdict
from mimctl.engine.ranks.errors import read_error
from mimctl.engine.ranks.launching import StopSignals, launch_ranks, outcome_of
from mimctl.engine.reporting.events import open_events
from mimctl.spec import RunSpec


def main(argv: list[str] | None = None) -> int:
    """Run the spec named on the command line over its ranks and return the exit code of the first that failed."""
    return start("mimctl.engine.agent", run, argv)


def run(spec: RunSpec, spec_path: Path) -> int:
    """Start the ranks, wait for them, and start them again as often as may be; report a failure."""
    with tempfile.TemporaryDirectory(prefix="mimctl-agent-") as folder:
        signals = StopSignals(Path(folder), spec.launcher.num_procs)
        try:
            if spec.action == "train":
                signals.listen()
            team = gather(spec)
        except BaseException as err:  # the agent's own error boundary, as the ones below
            outcome = outcome_of(err)
            return _end(spec, Verdict(code=outcome.code, error=outcome.error))
        with team:
            verdict = _attempts(spec, spec_path, Path(folder), team, signals)
            if _is_teller(spec, team, verdict):
                return _end(spec, verdict)
            return verdict.code


def _attempts(spec: RunSpec, spec_path: Path, folder: Path, team: Alone, signals: StopSignals) -> Verdict:
    for number in itertools.count():
        signals.folder = folder / str(number)
        signals.folder.mkdir()
        try:
            outcome = _attempt(number, spec, spec_path, team, signals.folder)
        except BaseException as err:
            outcome = outcome_of(err)
        outcome = replace(outcome, is_leaving=signals.is_asked)
        try:
            verdict = team.settle(outcome, spec.launcher.max_restarts - number)
        except BaseException as err:
            outcome = outcome_of(err)
            verdict = team.settle(outcome, 0)
        if not verdict.starts_again:
            # Who has asked for the end need not be told of it.
            return replace(verdict, error=None) if outcome.kind == "asked" else verdict
        if verdict.error is not None and _is_teller(spec, team, verdict):
            _tell_restart(spec, number + 1, verdict.error)
    raise AssertionError


def _attempt(number: int, spec: RunSpec, spec_path: Path, team: Alone, folder: Path) -> Outcome:
    attempt = team.begin(number, resumes=number > 0 and _has_begun(spec))
    if attempt.resumes:
        spec_path = folder / "spec.json"
        replace(spec, resume="auto").write(spec_path)
    threads = {} if "OMP_NUM_THREADS" in os.environ else {"OMP_NUM_THREADS": str(_threads(spec))}
    return launch_ranks(spec, spec_path, folder, team, {**attempt.place.to_variables(), **threads})


def _has_begun(spec: RunSpec) -> bool:
    """Say whether the run has come as far as to put an earlier run's checkpoints away: those must not be resumed."""
    return spec.action == "train" and spec.events_path is not None and any(Path(spec.events_path).parent.glob("*.log"))


def _is_teller(spec: RunSpec, team: Alone, verdict: Verdict) -> bool:
    """Say whether this node tells the user: with Slurm they have one file of events, and the first one does."""
    error = verdict.error or {}
    is_first_gone = error.get("code") == NODE_LOST and 0 in error["details"]["nodes"]
    return spec.launcher.kind != "slurm" or team.node == 0 or is_first_gone


def _tell_restart(spec: RunSpec, number: int, error: Mapping[str, Any]) -> None:
    events = open_events(spec)
    events.emit("restart", number=number, most=spec.launcher.max_restarts, error=error)
    events.close()


def _end(spec: RunSpec, verdict: Verdict) -> int:
    if verdict.error is not None:
        events = open_events(spec)
        report(read_error(verdict.error), events)
        events.close()
    return verdict.code


def _threads(spec: RunSpec) -> int:
    """Return how many threads each rank computes with: its share of this machine's cores, one beside a GPU."""
    if spec.launcher.device != "cpu":
        return 1
    return max(1, len(os.sched_getaffinity(0)) // spec.launcher.num_procs)


if __name__ == "__main__":
    exit_code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(exit_code)  # torch's own farewell takes half a second, and who waits for a failure has been told

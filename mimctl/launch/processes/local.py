"""Start a run's child on this machine, follow its events, pass signals on, and leave no process behind."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

from mimctl.launch.model import LaunchPlan, Listener, Outcome, WhileSeen
from mimctl.launch.processes.events import EventReader
from mimctl.launch.processes.growing import size_of
from mimctl.launch.processes.guard import Guard
from mimctl.launch.processes.process_table import descendants, end_all
from mimctl.launch.processes.streams import Relayed, Streams
from mimctl.launch.runs.files import read_json

POLL_S = 0.05
INTERRUPT_GRACE_S = 2.5
"""After Ctrl-C: seconds until SIGTERM; SIGKILL follows `TERMINATE_GRACE_S` later. Both together stay below 5 s."""
TERMINATE_GRACE_S = 1.0
_KILLED = (128 + signal.SIGKILL, 128 + signal.SIGUSR2)


class LocalRun:
    """A child of a plan that was started here; `poll` until it has ended."""

    def __init__(self, plan: LaunchPlan, listener: Listener, streams: Streams | None = None) -> None:
        plan.spec.write(plan.spec_path)
        self.plan = plan
        self._listener = WhileSeen(listener)
        events = Path(plan.spec.events_path) if plan.spec.events_path else None
        # A run that goes on appends to what it has told before.
        self._events = EventReader(events, skip=size_of(events))
        environment = {name: value for name, value in os.environ.items() if name not in plan.unset}
        self._streams: Streams = streams or Relayed(self._listener)
        out, err = self._streams.open()
        try:
            self.process = subprocess.Popen(
                plan.argv,
                env={**environment, **plan.environment},
                stdin=self._streams.stdin,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )
        finally:
            self._streams.begin()
        self._guard = Guard(self.process)
        self._error: Mapping[str, Any] | None = None

    def poll(self) -> Outcome | None:
        """Hand on what came since the last call; return how the child ended, None while it goes."""
        ended = self.process.poll() is not None
        for event in self._events.read():
            if event.get("event") == "error":
                self._error = event
            self._listener.event(event)
        if not ended:
            return None
        self._finish()
        code = self.process.returncode
        path = self.plan.spec.result_path
        return Outcome(
            exit_code=128 - code if code < 0 else code,
            result=read_json(Path(path)) if path else None,
            error=self._error,
            last_lines=self._streams.kept,
        )

    @property
    def last_lines(self) -> tuple[str, ...]:
        """What the child has printed last."""
        return self._streams.kept

    def stop(self) -> None:
        """Stop the child and all that it started."""
        try:
            stop(self.process)
        finally:
            self._finish()

    def _finish(self) -> None:
        _sweep(self.process)
        self._guard.dismiss()
        self._streams.finish()


def run(
    plan: LaunchPlan,
    listener: Listener,
    streams: Streams | None = None,
    *,
    stop_signal: signal.Signals = signal.SIGTERM,
    is_stuck: Callable[[Sequence[str]], bool] | None = None,
) -> Outcome:
    """Run the plan's child to its end; what it prints goes to the listener, or where `streams` lead.

    SIGTERM and SIGHUP of this process go on to the child as `stop_signal`; its exit code says the rest, 143 where it
    was killed then. On KeyboardInterrupt the child and all its descendants are stopped before it is raised again.
    Where `is_stuck` says so of the child's last lines, it gets SIGTERM.
    """
    running = LocalRun(plan, listener, streams)
    try:
        with _signals_forwarded_to(running.process, stop_signal) as told:
            while (outcome := running.poll()) is None:
                if is_stuck is not None and is_stuck(running.last_lines):
                    running.process.terminate()
                    is_stuck = None
                time.sleep(POLL_S)
        if told and outcome.error is None and outcome.exit_code in _KILLED:
            return replace(outcome, exit_code=128 + signal.SIGTERM)
        return outcome
    except BaseException:
        running.stop()
        raise


def run_script(argv: Sequence[str], *, stdout: IO[bytes] | None = None) -> int:
    """Run a program that speaks for itself: its streams are ours (`stdout` replaces the standard output).

    Returns its exit code, 128 + n for signal n. SIGTERM and SIGHUP of this process go on to it. On KeyboardInterrupt
    it and all its descendants are stopped before it is raised again.
    """
    process = subprocess.Popen(argv, stdout=stdout, start_new_session=True)
    try:
        with _signals_forwarded_to(process):
            code = process.wait()
    except BaseException:
        stop(process)
        raise
    finally:
        _sweep(process)
    return 128 - code if code < 0 else code


@contextlib.contextmanager
def _signals_forwarded_to(
    process: subprocess.Popen[bytes], stop_signal: signal.Signals = signal.SIGTERM
) -> Iterator[Sequence[int]]:
    """Forward while the block runs, and yield the list of the signals that came."""
    told: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield told
        return

    def forward(number: int, _frame: object) -> None:
        told.append(number)
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(stop_signal)

    numbers = [each for each in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(each) is not signal.SIG_IGN]
    held = {number: signal.signal(number, forward) for number in numbers}  # `nohup` has the end of a terminal ignored
    try:
        yield told
    finally:
        for number, handler in held.items():
            signal.signal(number, handler)


def stop(process: subprocess.Popen[bytes]) -> None:
    """Stop a child and all that it started: SIGINT, then SIGTERM, then SIGKILL; a second Ctrl-C goes straight there."""
    family = descendants(process.pid)
    try:
        for number, grace in ((signal.SIGINT, INTERRUPT_GRACE_S), (signal.SIGTERM, TERMINATE_GRACE_S)):
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(number)
            try:
                process.wait(grace)
                break
            except subprocess.TimeoutExpired:
                family |= descendants(process.pid)
    except KeyboardInterrupt:
        family |= descendants(process.pid)
    finally:
        end_all(family)
        if process.poll() is None:
            process.kill()
        process.wait()


def _sweep(process: subprocess.Popen[bytes]) -> None:
    # Workers of a child that died share its session's process group.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)

"""Processes that load data outlive the signals that a whole job gets, so that a run can stop in its own way."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass

STOP_SIGNALS = (signal.SIGTERM, signal.SIGUSR2)
LOOK_S = 1.0
"""Seconds until a worker notices that its parent is gone."""


@dataclass(frozen=True, slots=True)
class StartWorker:
    """A `worker_init_fn` that first lets the worker disregard stop signals."""

    start: Callable[[int], None]

    def __call__(self, worker_id: int) -> None:
        """Start a worker."""
        disregard_stop_signals()
        self.start(worker_id)


def disregard_stop_signals() -> None:
    """Let SIGTERM end this process only where its parent sends it, and SIGUSR2 never; end soon after the parent.

    A scheduler that preempts a job sends its signals to every process of it. Without its workers a run could not go
    on to the step at which it stops.
    """
    if sys.platform == "darwin":  # which does not tell who sent a signal; its workers end when their parent is gone
        for number in STOP_SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        return
    # A handler is not told who sends a signal; one that is blocked and waited for says so.
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    threading.Thread(target=_obey, args=(os.getppid(),), name="stop signals", daemon=True).start()


def _obey(parent: int) -> None:
    while os.getppid() == parent:  # whoever was killed cannot end its workers, and torch's own look takes five seconds
        told = signal.sigtimedwait(STOP_SIGNALS, LOOK_S)
        if told is not None and told.si_signo == signal.SIGTERM and told.si_pid == parent:
            break
    os._exit(0)

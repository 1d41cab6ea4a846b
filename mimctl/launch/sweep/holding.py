"""A sweep's folder in the hands of one process, and what becomes of its trials when that one ends."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

from mimctl.errors import MimctlError
from mimctl.transfer.exclusive import Lock, holding
from mimctl.transfer.owner import Owner


def held(folder: Path) -> contextlib.AbstractContextManager[None]:
    """Hold a sweep's folder; raise MimctlError[sweep-busy] where another process does."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = Lock(folder=folder, name=".sweep.lock", doing=f"which runs the sweep in `{folder}`", code="sweep-busy")

    def busy(owner: Owner) -> MimctlError:
        return MimctlError(
            f"another process runs the sweep in `{folder}`",
            code="sweep-busy",
            causes=[f"{owner}"],
            hints=[f"look at it: `mimctl sweep report {folder}`"],
        )

    return holding(lock, _say_nothing, refuse=busy)


@contextlib.contextmanager
def watched(*, are_jobs: bool) -> Iterator[None]:
    """Say what goes on where somebody stops looking at jobs; end the processes of this machine."""
    if not are_jobs:
        with _ended_by_signals():
            yield
        return
    try:
        yield
    except KeyboardInterrupt:
        raise MimctlError(
            "stopped looking; the jobs go on",
            code="detached",
            hints=["the same line looks again, and goes on with what is left"],
            exit_code=130,
        ) from None


@contextlib.contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Leave the block at SIGTERM and SIGHUP by MimctlError[terminated], so that no process stays behind."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    # What `nohup` ignores stays ignored.
    numbers = [each for each in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(each) is not signal.SIG_IGN]
    held = {number: signal.signal(number, _end) for number in numbers}
    try:
        yield
    except _Ended as ended:
        raise MimctlError(
            f"the sweep was stopped by {ended.signal.name}",
            code="terminated",
            hints=["the same line goes on with it"],
            exit_code=128 + ended.signal,
        ) from None
    finally:
        for number, handler in held.items():
            signal.signal(number, handler)


class _Ended(BaseException):
    def __init__(self, number: signal.Signals) -> None:
        super().__init__(number)
        self.signal = number


def _end(number: int, frame: FrameType | None) -> None:
    signal.signal(number, signal.SIG_IGN)  # one is enough: what comes now is stopping the trials
    raise _Ended(signal.Signals(number))


def _say_nothing(line: str) -> None:
    """Nobody waits."""

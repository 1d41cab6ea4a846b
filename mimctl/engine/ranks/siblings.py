"""What the ranks of one agent know of each other: who they are, where each is, that they end together."""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import os
import signal
import time
from pathlib import Path

from mimctl.files import write_text

FOLDER_VARIABLE = "MIMCTL_ERROR_DIR"
"""The agent's folder, in which ranks leave their process ids and errors."""
WARNED = "warned"
"""A file beside the agent's folder: the run was warned (SIGUSR2), perhaps before this rank was there to hear it."""
STACK_SIGNAL = signal.SIGQUIT
"""A rank that gets it writes where each of its threads is, and goes on."""
_PR_SET_PDEATHSIG = 1
_OF_TORCH = ("/torch/distributed/", "/torch/autograd/", "/torch/nn/", "/torch/_", "/torch/utils/", "contextlib.py")


def folder() -> Path | None:
    """Return the agent's folder where this process is one of its ranks."""
    found = os.environ.get(FOLDER_VARIABLE)
    return Path(found) if found and "RANK" in os.environ else None


def announce() -> None:
    """Tell the agent this rank's process id, end with the agent, and write stacks when asked (`kill -QUIT`)."""
    place = folder()
    if place is None:
        return
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    rank = os.environ["RANK"]
    # The file stays open as long as the process lives.
    stream = (place / f"stack-{rank}").open("w", encoding="utf-8")
    faulthandler.register(STACK_SIGNAL, file=stream, all_threads=True)
    write_text(place / f"pid-{rank}", str(os.getpid()))
    if (place.parent / WARNED).exists():
        os.kill(os.getpid(), signal.SIGUSR2)  # blocked until the run can stop


def say_done() -> None:
    """Tell the agent that this rank has done its work and is about to end."""
    place = folder()
    if place is not None:
        (place / f"done-{os.environ['RANK']}").touch()


def process_ids(place: Path) -> dict[int, int]:
    """Return rank → process id of those that have announced themselves."""
    ids = {}
    for path in place.glob("pid-*"):
        with contextlib.suppress(OSError, ValueError):
            ids[int(path.name.partition("-")[2])] = int(path.read_text(encoding="ascii"))
    return ids


def where_others_are(wait_s: float = 0.5) -> dict[int, str]:
    """Return, for each other rank on this node that runs, the innermost place of its main thread outside of torch."""
    place = folder()
    if place is None:
        return {}
    others = {rank: pid for rank, pid in process_ids(place).items() if pid != os.getpid()}
    before = {rank: _size(place / f"stack-{rank}") for rank in others}
    for pid in others.values():
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, STACK_SIGNAL)
    limit = time.monotonic() + wait_s
    while time.monotonic() < limit and any(_size(place / f"stack-{rank}") == before[rank] for rank in others):
        time.sleep(0.02)
    time.sleep(0.05)  # the rest of a stack that is being written
    found = {}
    for rank in sorted(others):
        with contextlib.suppress(OSError):
            text = (place / f"stack-{rank}").read_text(encoding="utf-8", errors="replace")
            if spot := innermost_place(text[before[rank] :]):
                found[rank] = spot
    return found


def innermost_place(stacks: str) -> str | None:
    """Return `file:line in function` of the main thread, the last in a dump of faulthandler, outside of torch."""
    main = stacks.strip().split("\n\n")[-1]
    frames = [line.strip() for line in main.splitlines() if line.strip().startswith("File ")]
    frame = next((each for each in frames if not any(part in each for part in _OF_TORCH)), None)
    if frame is None:
        return None
    file, _, rest = frame.removeprefix('File "').partition('", line ')
    line, _, function = rest.partition(" in ")
    return f"{file}:{line} in {function}"


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0

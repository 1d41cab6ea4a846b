"""Run pip or uv as a child process: lines as they come, Ctrl-C waited for, failures as errors."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Mapping, Sequence

from mimctl.errors import IntegrityError, MimctlError, NetworkError
from mimctl.installer.backends.build_failure import build_failure

Note = Callable[[str], None]
"""Called with each line of the installer that tells a person how far it is."""

_TIED = """
import os, sys
try:
    import ctypes
    ctypes.CDLL(None).prctl(1, 9)
except (ImportError, OSError, AttributeError):
    pass
if os.getppid() != int(sys.argv[1]):
    os._exit(137)
os.execv(sys.argv[2], sys.argv[2:])
"""
"""Has the system end the installer when its parent dies (Linux: PR_SET_PDEATHSIG, SIGKILL), then becomes it."""
_NEWS = ("Downloading ", "Building ", "Built ", "Installing collected packages", "Prepared ", "Installed ")
_KEPT_LINES = 12
_STOP_TIMEOUT_S = 20
_HASH_WORDS = ("DO NOT MATCH THE HASHES", "Hash mismatch for")
_NETWORK_WORDS = (
    "NewConnectionError",
    "ConnectTimeoutError",
    "Could not fetch URL",
    "Temporary failure in name resolution",
    "Name or service not known",
    "Failed to establish a new connection",
    "error sending request",
    "dns error",
    "Failed to fetch",
    "Connection refused",
    "ReadTimeoutError",
    "network connectivity is disabled",
)


def run_installer(
    argv: Sequence[str],
    *,
    environ: Mapping[str, str],
    what: str,
    note: Note | None = None,
    is_build: bool = False,
) -> tuple[str, ...]:
    """Run an installer and return the lines it printed.

    `what` says what it was to do, for messages. Raises MimctlError[install-failed] with its last lines where it exits
    non-zero ([build-failed] with what a build lacked for one that builds), NetworkError where these say that a host
    did not answer, IntegrityError[hash-mismatch] that a file changed, [no-installer] where it cannot be started.
    """
    lines: list[str] = []
    try:
        child = subprocess.Popen(
            _tied(argv),
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
        )
    except OSError as err:
        raise MimctlError(f"`{argv[0]}` cannot be started", code="no-installer", causes=[str(err)]) from err
    with child:
        try:
            for line in child.stdout or ():
                lines.append(line.rstrip())
                if note is not None and line.lstrip().startswith(_NEWS):
                    note(line.strip())
            code = child.wait()
        except BaseException:
            _stop(child)
            raise
    if code != 0:
        raise _failed(what, code, lines, is_build=is_build)
    return tuple(lines)


def _tied(argv: Sequence[str]) -> list[str]:
    """Return how to run a command that must not outlive us, where the system can see to that.

    An installer that went on alone would change an environment that is being repaired.
    """
    program = shutil.which(argv[0])
    if not sys.platform.startswith("linux") or program is None or not sys.executable:
        return list(argv)
    return [sys.executable, "-I", "-S", "-c", _TIED, str(os.getpid()), program, *argv[1:]]


def _stop(child: subprocess.Popen[str]) -> None:
    """End the child as Ctrl-C would, so that it can undo what it has begun, and wait for it."""
    if child.poll() is None:
        child.send_signal(signal.SIGINT)
    with contextlib.suppress(subprocess.TimeoutExpired, KeyboardInterrupt):
        child.wait(timeout=_STOP_TIMEOUT_S)
    if child.poll() is None:
        child.kill()


def _says_something(line: str) -> bool:
    """Return whether a line is worth repeating: no progress bar, no note on an index that lacks a project."""
    return bool(line.strip()) and "━" not in line and not line.startswith("WARNING: Location")


def _failed(what: str, code: int, lines: Sequence[str], *, is_build: bool) -> MimctlError:
    text = "\n".join(lines)
    if is_build:  # what an installer advises its own users to type means nothing to ours
        lines = list(itertools.takewhile(lambda line: not line.startswith("hint:"), lines))
    said = deque((line for line in lines if _says_something(line)), maxlen=_KEPT_LINES)
    causes = [f"the installer exited {code}; its last lines:", *(f"  {line}" for line in said)]
    if any(word in text for word in _NETWORK_WORDS):
        return NetworkError(
            f"cannot {what}: a package index does not answer",
            causes=causes,
            hints=["check the network, or pip's configuration: `python -m pip config list`"],
        )
    if any(word in text for word in _HASH_WORDS):
        return IntegrityError(f"cannot {what}: a file is not what it was when it was verified", causes=causes)
    if is_build:
        return build_failure(what, causes, text)
    return MimctlError(
        f"cannot {what}",
        code="install-failed",
        causes=causes,
        hints=["the environment is as it was before"],
    )

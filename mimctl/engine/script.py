"""The action `run`: one rank of a script that is nobody's verb, started here as Python itself would start it.

The launcher has put the rank's place (`RANK`, `WORLD_SIZE`, `LOCAL_RANK`, `MASTER_ADDR`, `MASTER_PORT`) into the
environment. What the script raises, and an exit code other than 0, become one error, which names the rank that began.
"""

from __future__ import annotations

import functools
import importlib
import runpy
import signal
import sys
import traceback
from pathlib import Path
from types import TracebackType
from typing import Any

from mimctl.errors import MimctlError
from mimctl.spec import RunSpec


def run(spec: RunSpec) -> dict[str, Any]:
    """Run the program of `spec.options` with `spec.inputs` as its words.

    `kind` says what `target` is: a "file" (its folder comes first on the import path), a "module" (`python -m`), or a
    "console" script (`module:function`); `name` is what the script is called. Raises MimctlError[script-failed] with
    the exit code that the script ended with, [child-crashed] with the traceback of what it raised.
    """
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    kind, target, name = (str(spec.options[key]) for key in ("kind", "target", "name"))
    try:
        _start(kind, target, name, spec.inputs)
    except SystemExit as stopped:
        if code := exit_code(stopped):
            message = f"`{name}` of `{spec.plugin}` ended with exit code {code}"
            raise MimctlError(message, code="script-failed", exit_code=code) from None
    except Exception as err:  # the error boundary of somebody else's program
        raise _crashed(err) from err
    return {}


def exit_code(stopped: SystemExit) -> int:
    """Return what a process ends with that leaves by `stopped`; a text is printed, as Python does it."""
    if stopped.code is None:
        return 0
    if isinstance(stopped.code, int):
        return stopped.code & 0xFF
    print(stopped.code, file=sys.stderr)
    return 1


def _start(kind: str, target: str, name: str, words: tuple[str, ...]) -> None:
    sys.argv = [target if kind == "file" else name, *words]
    if kind == "file":
        sys.path.insert(0, str(Path(target).resolve().parent))
        runpy.run_path(target, run_name="__main__")
    elif kind == "module":
        runpy.run_module(target, run_name="__main__", alter_sys=True)
    else:
        module, _, function = target.partition(":")
        sys.exit(functools.reduce(getattr, function.split("."), importlib.import_module(module))())  # type: ignore[operator]


def _crashed(err: Exception) -> MimctlError:
    told = traceback.format_exception(type(err), err, _of_the_script(err.__traceback__))
    text = str(err).splitlines()
    return MimctlError(
        f"{type(err).__name__}: {text[0] if text else 'no message'}",
        code="child-crashed",
        details={"traceback": "".join(told)},
    )


def _of_the_script(trace: TracebackType | None) -> TracebackType | None:
    """Return a traceback from the script's own first line on, None where it did not get that far."""
    ours = (__file__, runpy.__file__)
    found = trace
    while found is not None and (
        found.tb_frame.f_code.co_filename in ours or found.tb_frame.f_code.co_filename.startswith("<frozen runpy")
    ):
        found = found.tb_next
    return found

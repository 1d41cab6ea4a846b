"""Ask the target's own interpreter whether its operators load: only the loader knows whether every symbol is there."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from mimctl.environment.detect import child_environ
from mimctl.environment.model import Environment
from mimctl.errors import MimctlError

OPS_PROJECT = "mimctl-ops"
_IMPORT_TIMEOUT_S = 120
"""Importing torch takes a second, from a cold network file system a minute."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpsAnswer:
    """What the target's own `python -m mimctl_ops` said: its status as JSON data, or why there is none."""

    status: Mapping[str, object] | None = None
    problem: str | None = None


def ask_ops(env: Environment, environ: Mapping[str, str], *, timeout_s: float = _IMPORT_TIMEOUT_S) -> OpsAnswer:
    """Return what `python -m mimctl_ops` of the target says; it imports torch and loads the compiled library."""
    with asking_ops(env, environ, timeout_s=timeout_s) as answer:
        return answer()


@contextlib.contextmanager
def asking_ops(
    env: Environment, environ: Mapping[str, str], *, timeout_s: float = _IMPORT_TIMEOUT_S
) -> Iterator[Callable[[], OpsAnswer]]:
    """Start `python -m mimctl_ops` of the target and give what waits for its answer; who leaves earlier ends it."""
    python = env.target.python
    try:
        child = subprocess.Popen(
            [str(python), "-P", "-m", "mimctl_ops"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            errors="replace",
            cwd=python.parent,
            env=child_environ(environ),
        )
    except OSError as err:
        problem = f"`{python}` cannot be started: {err}"
        yield lambda: OpsAnswer(problem=problem)
        return
    with child:
        try:
            yield lambda: _answer(child, f"`{python} -m mimctl_ops`", timeout_s)
        finally:
            child.kill()


def _answer(child: subprocess.Popen[str], called: str, timeout_s: float) -> OpsAnswer:
    try:
        out, errors = child.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        return OpsAnswer(problem=f"{called} gave no answer within {timeout_s:g} s")
    if child.returncode != 0:
        return OpsAnswer(problem=_last_words(child.returncode, errors))
    try:
        status = json.loads(out[out.index("{") :])
    except ValueError:
        return OpsAnswer(problem="`python -m mimctl_ops` printed no JSON")
    return OpsAnswer(status=status)


def _last_words(code: int, errors: str) -> str:
    if code < 0:
        names = {each.value: each.name for each in signal.Signals}
        return f"loading it ended the process with {names.get(-code, f'signal {-code}')}"
    last = errors.strip().splitlines()[-1:] or [f"it exited {code} and said nothing"]
    return last[0]


def check_operators(env: Environment, ask: Callable[[], OpsAnswer] | None = None) -> None:
    """Raise MimctlError[ops-cannot-load] where the operators that are there do not load into the target's torch.

    `ask` waits for the answer of a question that has been put already.
    """
    if env.ops.value is None or env.torch.value is None:
        return
    answer = ask() if ask is not None else ask_ops(env, os.environ)
    status = answer.status or {}
    if answer.problem is None and status.get("tier") != "failed":
        return
    raise MimctlError(
        f"mimctl-ops {env.ops.value.version} was installed and cannot load",
        code="ops-cannot-load",
        causes=[answer.problem or str(status.get("error"))],
        hints=["the environment is as it was before", "use the pure-PyTorch ops: `--variant python`"],
    )

"""Ask the target's own interpreter whether its operators load: only the loader knows whether every symbol is there."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Mapping
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
    python = env.target.python
    try:
        answer = subprocess.run(
            [str(python), "-P", "-m", "mimctl_ops"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="replace",
            timeout=timeout_s,
            check=False,
            cwd=python.parent,
            env=child_environ(environ),
        )
    except subprocess.TimeoutExpired:
        return OpsAnswer(problem=f"`{python} -m mimctl_ops` gave no answer within {timeout_s:g} s")
    except OSError as err:
        return OpsAnswer(problem=f"`{python}` cannot be started: {err}")
    if answer.returncode != 0:
        return OpsAnswer(problem=_last_words(answer))
    try:
        status = json.loads(answer.stdout[answer.stdout.index("{") :])
    except ValueError:
        return OpsAnswer(problem="`python -m mimctl_ops` printed no JSON")
    return OpsAnswer(status=status)


def _last_words(answer: subprocess.CompletedProcess[str]) -> str:
    if answer.returncode < 0:
        names = {each.value: each.name for each in signal.Signals}
        return f"loading it ended the process with {names.get(-answer.returncode, f'signal {-answer.returncode}')}"
    last = answer.stderr.strip().splitlines()[-1:] or [f"it exited {answer.returncode} and said nothing"]
    return last[0]


def check_operators(env: Environment) -> None:
    """Raise MimctlError[ops-cannot-load] where the operators that are there do not load into the target's torch."""
    if env.ops.value is None or env.torch.value is None:
        return
    answer = ask_ops(env, os.environ)
    status = answer.status or {}
    if answer.problem is None and status.get("tier") != "failed":
        return
    raise MimctlError(
        f"mimctl-ops {env.ops.value.version} was installed and cannot load",
        code="ops-cannot-load",
        causes=[answer.problem or str(status.get("error"))],
        hints=["the environment is as it was before", "use the pure-PyTorch ops: `--variant python`"],
    )

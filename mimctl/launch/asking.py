"""Ask a toolbox's process something: a run that is written down nowhere, and leaves nothing but its answer."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mimctl.launch.failure import error_of
from mimctl.launch.model import LaunchPlan, Listener, RunRequest, Silence
from mimctl.launch.plan import make_plan
from mimctl.launch.processes.local import run
from mimctl.plugin.discover import Plugin


def ask(plugin: Plugin, action: str, entry: str, python: Path, **rest: Any) -> Mapping[str, Any]:
    """Call `entry` (`module:function`) in the target's interpreter and return its result.

    `rest` are further fields of RunRequest. Raises the error that the process told.
    """
    with tempfile.TemporaryDirectory(prefix=f"mimctl-{action}-") as scratch:
        request = RunRequest(
            action=action,
            plugin=plugin.name,
            package=plugin.package,
            entry=entry,
            python=python,
            run_dir=Path(scratch),
            **rest,
        )
        return answer_of(make_plan(request))


def answer_of(plan: LaunchPlan, listener: Listener | None = None) -> Mapping[str, Any]:
    """Run a plan that is written down nowhere and return its result; raise the error that the process told."""
    outcome = run(plan, listener or Silence())
    if outcome.exit_code != 0 or outcome.result is None:
        raise error_of(outcome, plan)
    return outcome.result

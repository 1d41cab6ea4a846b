"""Have a checkpoint stripped to its weights, by the engine of the target."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mimctl.launch.failure import error_of
from mimctl.launch.model import RunRequest, Silence
from mimctl.launch.plan import make_plan
from mimctl.launch.processes.local import run
from mimctl.plugin.discover import Plugin

ENTRY = "mimctl.engine.publishing:publish"


def strip_weights(
    plugin: Plugin, checkpoint: Path, config: Path, out_dir: Path, *, name: str, dtype: str | None, python: Path
) -> Mapping[str, Any]:
    """Write `<name>-<hash>.safetensors` and `.pth` into `out_dir` and return what `mimctl.engine.publishing` tells.

    Raises what that raises: MimctlError[weights-mismatch], IntegrityError[bad-checkpoint].
    """
    with tempfile.TemporaryDirectory(prefix="mimctl-publish-") as scratch:
        request = RunRequest(
            action="publish",
            plugin=plugin.name,
            package=plugin.package,
            entry=ENTRY,
            python=python,
            run_dir=Path(scratch),
            config=config,
            checkpoint=checkpoint,
            options={"out_dir": str(out_dir), "name": name, "dtype": dtype},
        )
        plan = make_plan(request)
        outcome = run(plan, Silence())
    if outcome.exit_code != 0 or outcome.result is None:
        raise error_of(outcome, plan)
    return outcome.result

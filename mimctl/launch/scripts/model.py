"""What starting a script is told and what it returns."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from mimctl.errors import MimctlError
from mimctl.launch.model import LaunchOptions, LaunchPlan
from mimctl.launch.runs.record import RunRecord
from mimctl.launch.scripts.programs import Program
from mimctl.launch.toolbox import Toolbox


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptRequest:
    """A program and what it is given; for a package's `train` and `test` the words begin with the config."""

    toolbox: Toolbox
    program: Program
    verb: Literal["run", "train", "test"] = "run"
    arguments: tuple[str, ...] = ()
    config: Path | None = None
    launch: LaunchOptions = field(default_factory=LaunchOptions)
    dry_run: bool = False

    @property
    def asks_nothing(self) -> bool:
        """Return whether a script is started as it would be by hand, with all the GPUs that there are."""
        launch = self.launch
        counts = (launch.gpus, launch.procs, launch.gpus_per_node, launch.nodes)
        return self.verb == "run" and launch.launcher in (None, "none") and counts == (None,) * len(counts)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptResult:
    """A script that ended well or goes on by itself, or the plan of one that was not started."""

    toolbox: Toolbox
    program: Program
    plan: LaunchPlan
    config: Path | None = None
    record: RunRecord | None = None
    """What was written down of it, None where it was not started."""
    is_over: bool = False
    refusal: MimctlError | None = None
    """Why it would not be started here, where it was only to be shown."""

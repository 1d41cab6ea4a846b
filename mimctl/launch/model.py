"""What launching is told and what it returns."""

from __future__ import annotations

import errno
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from mimctl.spec import LauncherFacts, RunSpec

MEETING_VARIABLES = ("MASTER_ADDR", "MASTER_PORT")
RANK_VARIABLES = (
    "RANK", "LOCAL_RANK", "WORLD_SIZE", *MEETING_VARIABLES, "LOCAL_WORLD_SIZE",
    "GROUP_RANK", "GROUP_WORLD_SIZE", "ROLE_RANK", "ROLE_WORLD_SIZE", "ROLE_NAME",
    "TORCHELASTIC_RUN_ID", "TORCHELASTIC_RESTART_COUNT", "TORCHELASTIC_MAX_RESTARTS",
    "TORCHELASTIC_USE_AGENT_STORE", "TORCHELASTIC_ERROR_FILE",
)  # fmt: skip
"""What torch's launchers leave in a shell; a run that took it for its own would wait for ranks that never come."""
CPUS_PER_TASK = 2
"""Of one process under Slurm, where nothing else is said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SlurmOptions:
    """What only Slurm knows; the counts of tasks and nodes stand in `LauncherFacts`."""

    cpus_per_task: int = CPUS_PER_TASK
    partition: str | None = None
    time: str | None = None
    """How long the job may take, in one of Slurm's forms (`90`, `12:00:00`, `2-00`)."""
    account: str | None = None
    qos: str | None = None
    lead_s: int = 60
    """How many seconds before its time is up a job is warned (SIGUSR2)."""
    srun_args: tuple[str, ...] = ()
    """More of srun's for the ranks, one word each."""
    sbatch_args: tuple[str, ...] = ()
    """More of what is asked where the nodes are given, one word each: `--mem=64G`."""
    setup: tuple[str, ...] = ()
    """Lines of shell that the job runs before its ranks start."""
    container: tuple[str, ...] = ()
    """Words that each rank's own line is put behind."""
    job_name: str = "mimctl"
    foreground: bool = False
    """Run it by srun, and wait for it, in the place of submitting it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRequest:
    """One run of one verb of one toolbox, everything resolved: paths are absolute, names are found."""

    action: str
    plugin: str
    package: str
    entry: str
    python: Path
    run_dir: Path
    """Where the specification, the events and the result of this run are written."""
    config: Path | None = None
    overrides: Mapping[str, Any] = field(default_factory=dict)
    work_dir: Path | None = None
    checkpoint: Path | None = None
    inputs: tuple[str, ...] = ()
    resume: str | None = None
    seed: int | None = None
    amp: bool = False
    auto_scale_lr: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)
    weights: Mapping[str, str] = field(default_factory=dict)
    launcher: LauncherFacts = field(default_factory=LauncherFacts)
    port: int | None = None
    slurm: SlurmOptions = field(default_factory=SlurmOptions)


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchPlan:
    """Exactly what is started: the specification and where it goes, argv, changes of the environment.

    `environment` is set on top of the caller's, `unset` taken out of it. With `--launcher slurm` `files` holds the
    batch script and what it names (path → text), and `argv` is the line that submits it.
    """

    spec: RunSpec
    spec_path: Path
    argv: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    unset: tuple[str, ...] = ()
    files: Mapping[Path, str] = field(default_factory=dict)
    script: str | None = None
    python: Path | None = None
    """The interpreter that a job works in, None in a container, whose environment is its own."""

    @property
    def run_dir(self) -> Path:
        """Return the run's own folder."""
        return self.spec_path.parent

    @property
    def is_script(self) -> bool:
        """Return whether a script runs, which speaks for itself, and no verb, which tells events."""
        return self.spec.action == "run" or not self.spec.entry


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a child ended: its exit code (128 + n for signal n), its result or its error, what it printed last."""

    exit_code: int
    result: Mapping[str, Any] | None = None
    error: Mapping[str, Any] | None = None
    last_lines: tuple[str, ...] = ()
    state: str = ""
    """Slurm's word for it."""


class Listener(Protocol):
    """Who watches a run: gets its progress events and the lines that the child prints."""

    def event(self, event: Mapping[str, Any]) -> None:
        """Take one progress event."""

    def line(self, text: str) -> None:
        """Take one line that the child printed beside its events."""


class Silence:
    """A listener that drops everything."""

    def event(self, event: Mapping[str, Any]) -> None:
        """Drop it."""

    def line(self, text: str) -> None:
        """Drop it."""


class WhileSeen:
    """A listener that hands on to another as long as its terminal is there: one that was closed ends no run."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener

    def event(self, event: Mapping[str, Any]) -> None:
        """Hand it on."""
        self._tell(lambda listener: listener.event(event))

    def line(self, text: str) -> None:
        """Hand it on."""
        self._tell(lambda listener: listener.line(text))

    def _tell(self, tell: Callable[[Listener], None]) -> None:
        try:
            tell(self._listener)
        except OSError as err:
            if err.errno != errno.EIO:
                raise
            self._listener = Silence()


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchOptions:
    """How the processes of a run are started, as a person says it."""

    launcher: Literal["none", "pytorch", "slurm"] | None = None
    gpus: int | None = None
    procs: int | None = None
    gpus_per_node: int | None = None
    nodes: int | None = None
    node_rank: int | None = None
    rdzv_endpoint: str | None = None
    """Where the nodes of `pytorch` meet, `host:port`."""
    max_restarts: int = 0
    elastic: bool = False
    """Under Slurm: one agent on each node, which starts the ranks there."""
    cpus_per_task: int | None = None
    partition: str | None = None
    time: str | None = None
    account: str | None = None
    qos: str | None = None
    lead_time: int = 60
    srun_args: str | None = None
    sbatch_args: str | None = None
    setup: tuple[str, ...] = ()
    container: str | None = None
    job_name: str | None = None
    port: int | None = None
    name: str | None = None
    """What the run is called in `mimctl status`."""
    detach: bool = False
    """Return as soon as the run is started."""
    foreground: bool = False
    """Wait for a job as for a process, in the place of submitting it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigOptions:
    """Which config, and how it is changed, as a person says it; None leaves what the config says."""

    config: str
    cfg_options: tuple[str, ...] = ()
    work_dir: Path | None = None
    epochs: int | None = None
    batch: int | None = None
    imgsz: int | None = None
    lr: float | None = None
    trust_config: bool = False

"""What is written down of a run when it starts: enough to find it, to stop it, and to start it again."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

from mimctl.errors import MimctlError
from mimctl.files import write_text
from mimctl.launch.model import LaunchPlan

FILE_NAME = "run.json"
SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """One run. It lies in the run's own folder as `run.json`; the book holds the ways there."""

    run_id: str
    name: str
    """What the user called it, else the config's name."""
    plugin: str
    action: str
    config: str | None
    work_dir: str | None
    run_dir: str
    launcher: str
    started: float
    """Seconds since the epoch."""
    host: str
    """The machine that started it."""
    argv: tuple[str, ...]
    """The line that starts or submits it."""
    environment: Mapping[str, str] = field(default_factory=dict)
    unset: tuple[str, ...] = ()
    job_id: str | None = None
    """Slurm's number, None for a run of this machine."""
    python: str | None = None
    """The interpreter that a job works in, None in a container."""
    pid: int | None = None
    """The process that looks after a run of this machine, and …"""
    pid_started: str = ""
    """… when the system started it, which tells it from a later one with the same number."""

    @property
    def folder(self) -> Path:
        """Return the run's own folder."""
        return Path(self.run_dir)

    def write(self) -> None:
        """Write the record to the run's folder, whole or not at all."""
        text = json.dumps({"schema_version": SCHEMA_VERSION, **asdict(self)}, indent=1, sort_keys=True)
        write_text(self.folder / FILE_NAME, text + "\n")


def record_of(plan: LaunchPlan, run_id: str, name: str) -> RunRecord:
    """Return the record of a plan that is about to be started from this machine."""
    spec = plan.spec
    return RunRecord(
        run_id=run_id,
        name=name,
        plugin=spec.plugin,
        action=spec.action,
        config=spec.config,
        work_dir=spec.work_dir,
        run_dir=str(plan.run_dir),
        launcher=spec.launcher.kind,
        started=time.time(),
        host=socket.gethostname(),
        argv=plan.argv,
        environment=dict(plan.environment),
        unset=plan.unset,
        python=str(plan.python) if plan.python is not None else None,
    )


def argv_with(record: RunRecord, spec_path: Path) -> tuple[str, ...]:
    """Return the line of a run with another specification of its folder (`resume.json`) in the place of its first."""
    first = str(record.folder / "spec.json")
    return tuple(str(spec_path) if word == first else word for word in record.argv)


def read_record(run_dir: Path) -> RunRecord | None:
    """Return the record of a run's folder, None where there is none.

    Raises MimctlError[bad-run] where the file is damaged or of a newer mimctl. A folder that was moved is where it
    is now.
    """
    path = run_dir / FILE_NAME
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if data["schema_version"] != SCHEMA_VERSION:
            raise ValueError(f"it is of schema {data['schema_version']}, this mimctl reads {SCHEMA_VERSION}")
        known = {item.name for item in fields(RunRecord)}
        values = {name: value for name, value in data.items() if name in known}
        lists = {name: tuple(values.get(name, ())) for name in ("argv", "unset")}
        return RunRecord(**{**values, **lists, "run_dir": str(run_dir.absolute())})
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (ValueError, KeyError, TypeError) as err:
        raise MimctlError(f"`{path}` is not the record of a run", code="bad-run", causes=[str(err)]) from err

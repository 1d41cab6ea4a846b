"""Look after a run of this machine that nobody waits for: `python -P -m mimctl.launch.processes.detached RUN_DIR SPEC`.

The process has a session of its own, so that it outlives the terminal that it was started from. What it and the child
print goes to the run's log. The run's record holds its process id: it passes SIGTERM on, and writes down the end.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from mimctl.errors import ExitCode, MimctlError, render
from mimctl.launch.model import LaunchPlan, Silence
from mimctl.launch.processes.process_table import start_time
from mimctl.launch.processes.streams import Inherited
from mimctl.launch.runs.record import RunRecord, argv_with, read_record
from mimctl.spec import RunSpec


def leave(plan: LaunchPlan, record: RunRecord) -> RunRecord:
    """Start who looks after a plan whose files and record are written, and return the record with its process."""
    log = plan.run_dir / f"{plan.run_dir.name}.log"
    argv = [sys.executable, "-P", "-m", "mimctl.launch.processes.detached", str(plan.run_dir), str(plan.spec_path)]
    with log.open("ab") as stream:
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream, start_new_session=True)
    process.returncode = 0  # it is left to itself: nobody here waits for it
    return replace(record, pid=process.pid, pid_started=start_time(process.pid))


def main(argv: list[str] | None = None) -> int:
    """Run what the record in the folder says, with the specification, and return the child's exit code."""
    from mimctl.launch.start import raise_failed, run_here

    run_dir, spec_path = map(Path, sys.argv[1:] if argv is None else argv)
    record = read_record(run_dir)
    if record is None:
        return ExitCode.FAILED
    plan = LaunchPlan(
        spec=RunSpec.read(spec_path),
        spec_path=spec_path,
        argv=argv_with(record, spec_path),
        environment={"PYTHONUNBUFFERED": "1", **record.environment},
        unset=record.unset,
    )
    try:
        raise_failed(run_here(plan, _Printer(), Inherited() if plan.is_script else None), plan)
    except MimctlError as err:
        print(render(err), file=sys.stderr, flush=True)
        return err.exit_code
    return ExitCode.DONE


class _Printer(Silence):
    def line(self, text: str) -> None:
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())

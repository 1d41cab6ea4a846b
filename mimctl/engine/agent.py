"""Start one child per rank on this node (torch's elastic launch), stop them all when one fails.

`python -P -m mimctl.engine.agent spec.json`. The first failing rank's own error is reported once, with its rank.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import uuid
from pathlib import Path
from typing import Any

from mimctl.engine.child import explain, report
from mimctl.engine.events import open_events
from mimctl.errors import ExitCode, MimctlError, render
from mimctl.spec import RunSpec


def main(argv: list[str] | None = None) -> int:
    """Run the spec named on the command line over its ranks and return the exit code of the first that failed."""
    arguments = sys.argv[1:] if argv is None else argv
    if len(arguments) != 1:
        print("usage: python -P -m mimctl.engine.agent SPEC", file=sys.stderr)
        return ExitCode.USAGE
    try:
        spec = RunSpec.read(Path(arguments[0]))
    except MimctlError as error:
        print(render(error), file=sys.stderr)
        return error.exit_code
    return run(spec, Path(arguments[0]).absolute())


def run(spec: RunSpec, spec_path: Path) -> int:
    """Start the ranks, wait for them, report a failure."""
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import elastic_launch

    with tempfile.TemporaryDirectory(prefix="mimctl-agent-") as folder:
        os.environ["MIMCTL_ERROR_DIR"] = folder
        os.environ.setdefault("OMP_NUM_THREADS", "1")
        try:
            elastic_launch(_launch_config(spec, folder), sys.executable)(
                "-P", "-m", "mimctl.engine.child", str(spec_path)
            )
        except ChildFailedError as err:
            rank, failure = err.get_first_failure()
            return _report(spec, _own_errors(Path(folder)), rank, failure.exitcode)
        except KeyboardInterrupt:
            return ExitCode.INTERRUPTED
        except Exception as err:  # the agent's own error boundary
            if type(err).__name__ == "SignalException":
                return 128 + int(getattr(err, "sigval", 15))
            events = open_events(spec)
            report(explain(err), events)
            events.close()
            return ExitCode.FAILED
    return ExitCode.DONE


def _launch_config(spec: RunSpec, folder: str) -> Any:
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs
    from torch.distributed.launcher.api import LaunchConfig

    options = spec.options
    nodes = spec.launcher.num_nodes
    return LaunchConfig(
        min_nodes=nodes,
        max_nodes=nodes,
        nproc_per_node=spec.launcher.num_procs,
        run_id=str(options.get("rdzv_id") or uuid.uuid4()),
        rdzv_backend="c10d",
        # Port 0 is a free one, so that two runs on one machine cannot meet by accident.
        rdzv_endpoint=str(options.get("rdzv_endpoint") or f"localhost:{options.get('port', 0)}"),
        local_addr=None if nodes > 1 else "localhost",
        max_restarts=0,
        monitor_interval=0.1,
        start_method="spawn",
        logs_specs=DefaultLogsSpecs(log_dir=folder),
    )


def _report(spec: RunSpec, errors: dict[int, dict[str, Any]], rank: int, exit_code: int) -> int:
    """Report the first failing rank's error; what others said because of it is left out."""
    told = errors.get(rank) or next((errors[each] for each in sorted(errors)), None)
    code = 128 - exit_code if exit_code < 0 else exit_code
    if told is None:
        error = MimctlError(f"rank {rank} ended with exit code {code}", code="rank-died", details={"rank": rank})
    else:
        hints = [str(each) for each in told.get("hints", ())]
        error = MimctlError(
            str(told["message"]),
            code=str(told["code"]),
            causes=[
                *map(str, told.get("causes", ())),
                f"on rank {rank} of {spec.launcher.num_procs * spec.launcher.num_nodes}",
            ],
            hints=hints,
            details={**told.get("details", {}), "rank": rank},
        )
        code = int(told.get("exit_code", code))
    events = open_events(spec)
    report(error, events)
    events.close()
    return code


def _own_errors(folder: Path) -> dict[int, dict[str, Any]]:
    found: dict[int, dict[str, Any]] = {}
    for path in folder.glob("error-*.json"):
        found[int(path.stem.partition("-")[2])] = json.loads(path.read_text(encoding="utf-8"))
    return found


if __name__ == "__main__":
    sys.exit(main())

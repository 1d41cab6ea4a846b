"""Start one child per rank on this node (torch's elastic launch), stop them all when one fails.

`python -P -m mimctl.engine.agent spec.json`. The first failing rank's own error is reported once, with its rank.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import sys
import tempfile
import uuid
from pathlib import Path
from types import FrameType
from typing import Any

from mimctl.engine.child import TERMINATED, explain, report, start
from mimctl.engine.events import open_events
from mimctl.errors import ExitCode, MimctlError
from mimctl.spec import RunSpec


def main(argv: list[str] | None = None) -> int:
    """Run the spec named on the command line over its ranks and return the exit code of the first that failed."""
    return start("mimctl.engine.agent", run, argv)


def run(spec: RunSpec, spec_path: Path) -> int:
    """Start the ranks, wait for them, report a failure."""
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import elastic_launch

    # What it would say about a failing rank is reported once, below.
    for name in list(logging.root.manager.loggerDict):
        if name.startswith("torch.distributed.elastic"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
    with tempfile.TemporaryDirectory(prefix="mimctl-agent-") as folder:
        os.environ["MIMCTL_ERROR_DIR"] = folder
        os.environ.setdefault("OMP_NUM_THREADS", "1")
        if spec.action == "train":
            _pass_on_stop_signals(Path(folder), spec.launcher.num_procs)
        try:
            elastic_launch(_launch_config(spec, folder), sys.executable)(
                "-P", "-m", "mimctl.engine.child", str(spec_path)
            )
        except ChildFailedError as err:
            codes = {rank: failure.exitcode for rank, failure in err.failures.items()}
            if set(codes.values()) == {TERMINATED}:
                return TERMINATED
            return _report(spec, _first_error(Path(folder)), codes)
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


def _pass_on_stop_signals(folder: Path, num_ranks: int) -> None:
    """Let the ranks of a training hear SIGTERM and SIGUSR2 and end by themselves, however long that takes.

    Before all of them are there SIGTERM ends them, as it does with other actions. Versions of torch whose elastic
    launch takes SIGTERM for itself leave the ranks 30 seconds.
    """

    def pass_on(number: int, frame: FrameType | None) -> None:
        told = [path.read_text(encoding="ascii") for path in folder.glob("pid-*")]
        if len(told) < num_ranks and number == signal.SIGTERM:
            raise SignalException("terminated before the ranks had started", signal.SIGTERM)
        for process_id in told:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(process_id), number)

    from torch.distributed.elastic.multiprocessing import SignalException

    for number in (signal.SIGTERM, signal.SIGUSR2):
        signal.signal(number, pass_on)


def _launch_config(spec: RunSpec, folder: str) -> Any:
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs
    from torch.distributed.launcher.api import LaunchConfig

    options = spec.options
    nodes = spec.launcher.num_nodes
    own_signals: dict[str, Any] = {}
    if spec.action == "train" and "signals_to_handle" in LaunchConfig.__dataclass_fields__:
        own_signals = {"signals_to_handle": "SIGINT,SIGHUP,SIGQUIT"}
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
        **own_signals,
    )


def _report(spec: RunSpec, told: dict[str, Any] | None, codes: dict[int, int]) -> int:
    """Report the first failing rank; what others said because of it is left out.

    `told` is the error that was written first, `codes` the exit codes of the failed ranks. A rank that was killed
    says nothing, and the others' complaints about that are only its consequence.
    """
    killed = [rank for rank, code in sorted(codes.items()) if code < 0 and -code != signal.SIGTERM]
    num_ranks = spec.launcher.num_procs * spec.launcher.num_nodes
    if killed or told is None:
        rank, code = (killed or sorted(codes))[0], codes[(killed or sorted(codes))[0]]
        exit_code = 128 - code if code < 0 else code
        died = f"by signal {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
        error = MimctlError(
            f"rank {rank} of {num_ranks} ended {died}", code="rank-died", exit_code=exit_code, details={"rank": rank}
        )
    else:
        details = dict(told.get("details", {}))
        error = MimctlError(
            str(told["message"]),
            code=str(told["code"]),
            causes=[*map(str, told.get("causes", ())), f"on rank {details.get('rank')} of {num_ranks}"],
            hints=[str(each) for each in told.get("hints", ())],
            exit_code=int(told["exit_code"]),
            details=details,
        )
    events = open_events(spec)
    report(error, events)
    events.close()
    return int(error.exit_code)


def _first_error(folder: Path) -> dict[str, Any] | None:
    written = sorted(folder.glob("error-*.json"), key=lambda path: path.stat().st_mtime_ns)
    if not written:
        return None
    told: dict[str, Any] = json.loads(written[0].read_text(encoding="utf-8"))
    told["details"] = {**told.get("details", {}), "rank": int(written[0].stem.partition("-")[2])}
    return told


if __name__ == "__main__":
    sys.exit(main())

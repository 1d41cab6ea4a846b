"""Start one child per rank on this node (torch's elastic launch), stop them all when one fails.

`python -P -m mimctl.engine.agent spec.json`. The first failing rank's own error is reported once, with its rank.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import sys
import tempfile
import uuid
from pathlib import Path
from types import FrameType
from typing import Any

from mimctl.engine.child import TERMINATED, explain, report, start
from mimctl.engine.ranks.errors import culprit
from mimctl.engine.ranks.siblings import FOLDER_VARIABLE, process_ids
from mimctl.engine.ranks.supervision import Supervision
from mimctl.engine.reporting.events import open_events
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
        os.environ[FOLDER_VARIABLE] = folder
        os.environ.setdefault("OMP_NUM_THREADS", str(_threads(spec)))
        supervision = Supervision(Path(folder))
        if spec.action == "train":
            _pass_on_stop_signals(Path(folder), spec.launcher.num_procs)
        try:
            launch = elastic_launch(_launch_config(spec, folder), sys.executable)
            with supervision:
                launch("-P", "-m", "mimctl.engine.child", str(spec_path))
        except ChildFailedError as err:
            codes = {rank: failure.exitcode for rank, failure in err.failures.items()}
            if set(codes.values()) == {TERMINATED}:
                return TERMINATED
            num_ranks = spec.launcher.num_procs * spec.launcher.num_nodes
            return _report(spec, culprit(Path(folder), codes, num_ranks, supervision.killed))
        except KeyboardInterrupt:
            return ExitCode.INTERRUPTED
        except Exception as err:  # the agent's own error boundary
            if type(err).__name__ == "SignalException":
                return 128 + int(getattr(err, "sigval", 15))
            return _report(spec, explain(err))
    return ExitCode.DONE


def _pass_on_stop_signals(folder: Path, num_ranks: int) -> None:
    """Let the ranks of a training hear SIGTERM and SIGUSR2 and end by themselves, however long that takes.

    Before all of them are there SIGTERM ends them, as it does with other actions. Versions of torch whose elastic
    launch takes SIGTERM for itself leave the ranks 30 seconds.
    """

    def pass_on(number: int, frame: FrameType | None) -> None:
        told = process_ids(folder)
        if len(told) < num_ranks and number == signal.SIGTERM:
            raise SignalException("terminated before the ranks had started", signal.SIGTERM)
        for process_id in told.values():
            with contextlib.suppress(ProcessLookupError):
                os.kill(process_id, number)

    from torch.distributed.elastic.multiprocessing import SignalException

    for number in (signal.SIGTERM, signal.SIGUSR2):
        signal.signal(number, pass_on)


def _launch_config(spec: RunSpec, folder: str) -> Any:
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs
    from torch.distributed.launcher.api import LaunchConfig

    options = spec.options
    nodes = spec.launcher.num_nodes
    if nodes == 1:
        _refuse_busy_port(int(options.get("port", 0)))
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


def _report(spec: RunSpec, error: MimctlError) -> int:
    events = open_events(spec)
    report(error, events)
    events.close()
    return int(error.exit_code)


def _threads(spec: RunSpec) -> int:
    """Return how many threads each rank computes with: its share of this machine's cores, one beside a GPU."""
    if spec.launcher.device != "cpu":
        return 1
    return max(1, len(os.sched_getaffinity(0)) // spec.launcher.num_procs)


def _refuse_busy_port(port: int) -> None:
    """Raise MimctlError[port-in-use] where a port that was asked for is taken: its owner may be another run's agent."""
    if port == 0:
        return
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("localhost", port))
        except OSError as err:
            raise MimctlError(
                f"port {port} is taken",
                code="port-in-use",
                causes=[err.strerror or str(err)],
                hints=["leave out `--port`: a free one is found"],
            ) from err


if __name__ == "__main__":
    sys.exit(main())

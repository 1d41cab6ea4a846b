"""Start the ranks of one node by torch's elastic launch, hand signals on to them, and say how they ended."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import FrameType
from typing import Any

from mimctl.engine.child import TERMINATED, explain
from mimctl.engine.nodes.team import Alone
from mimctl.engine.nodes.verdict import Outcome, failed
from mimctl.engine.ranks.errors import culprit, died
from mimctl.engine.ranks.meeting import require_free_port
from mimctl.engine.ranks.siblings import FOLDER_VARIABLE, WARNED, process_ids
from mimctl.engine.ranks.supervision import Supervision
from mimctl.errors import ExitCode
from mimctl.spec import RunSpec


class Stopped(SystemExit):
    """A signal came that ends the agent, as no rank is there to be told of it."""

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)
        self.number = number


class StopSignals:
    """Lets the ranks of a training hear SIGTERM and SIGUSR2 and end by themselves, however long that takes.

    Before all ranks are there SIGTERM ends them, as it does with other actions, and SIGUSR2 is kept for them. Versions
    of torch whose elastic launch takes SIGTERM for itself leave the ranks 30 seconds. `folder` is where the ranks that
    run now announce themselves, below `base`.
    """

    def __init__(self, base: Path, num_ranks: int) -> None:
        self.folder = base
        self.is_asked = False
        self._base = base
        self._num_ranks = num_ranks

    def listen(self) -> None:
        """Begin to hand signals on."""
        for number in (signal.SIGTERM, signal.SIGUSR2):
            signal.signal(number, self._pass_on)

    def _pass_on(self, number: int, frame: FrameType | None) -> None:
        self.is_asked = True
        if number == signal.SIGUSR2:
            (self._base / WARNED).touch()
        told = process_ids(self.folder)
        if len(told) < self._num_ranks and number == signal.SIGTERM:
            raise Stopped(number)
        for process_id in told.values():
            with contextlib.suppress(ProcessLookupError):
                os.kill(process_id, number)


def launch_ranks(spec: RunSpec, spec_path: Path, folder: Path, team: Alone, variables: Mapping[str, str]) -> Outcome:
    """Start the ranks of this node with `variables`, wait for them, and say how they ended."""
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import elastic_launch

    # What it would say about a failing rank the agent reports once.
    for name in list(logging.root.manager.loggerDict):
        if name.startswith("torch.distributed.elastic"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
    supervision = Supervision(folder, team)
    try:
        launch = elastic_launch(_launch_config(spec, str(folder)), sys.executable)
        with _variables({FOLDER_VARIABLE: str(folder), **variables}), supervision:
            launch("-P", "-m", "mimctl.engine.child", str(spec_path))
    except ChildFailedError as err:
        first = team.node * spec.launcher.num_procs
        codes = {first + rank: failure.exitcode for rank, failure in err.failures.items()}
        return _ended(spec, folder, codes, supervision, team)
    return Outcome(kind="done")


def _ended(spec: RunSpec, folder: Path, codes: Mapping[int, int], supervision: Supervision, team: Alone) -> Outcome:
    if set(codes.values()) == {TERMINATED}:
        return Outcome(kind="asked", code=TERMINATED)
    num_ranks = spec.launcher.num_procs * spec.launcher.num_nodes
    error = culprit(folder, codes, num_ranks, supervision.killed)
    if error is not None:
        return failed(error)
    if TERMINATED in codes.values():
        return Outcome(kind="asked", code=TERMINATED)
    if supervision.killed and team.has_failed_elsewhere():
        return Outcome(kind="stopped", code=int(ExitCode.FAILED))
    return failed(died(codes or {team.node * spec.launcher.num_procs: 1}, num_ranks))


def outcome_of(err: BaseException) -> Outcome:
    """Return what an exception of the agent itself comes to: a signal that asks it to end, or a failure."""
    if isinstance(err, KeyboardInterrupt):
        return Outcome(kind="asked", code=int(ExitCode.INTERRUPTED))
    if isinstance(err, Stopped):
        return Outcome(kind="asked", code=128 + err.number)
    if type(err).__name__ == "SignalException":  # torch's, raised by the handlers that its launch leaves behind
        return Outcome(kind="asked", code=128 + int(getattr(err, "sigval", signal.SIGTERM)))
    if isinstance(err, Exception):
        return failed(explain(err))
    raise err


@contextlib.contextmanager
def _variables(values: Mapping[str, str]) -> Iterator[None]:
    """Have variables in this process's environment, which ranks inherit, while the block runs."""
    held = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in held.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _launch_config(spec: RunSpec, folder: str) -> Any:
    """Return torch's options for the ranks of this node; how several nodes make one run is the agents' business."""
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs
    from torch.distributed.launcher.api import LaunchConfig

    port = int(spec.options.get("port", 0)) if spec.launcher.num_nodes == 1 and spec.launcher.kind == "pytorch" else 0
    require_free_port(port, host="localhost", hint="leave out `--port`: a free one is found")
    own_signals: dict[str, Any] = {}
    if spec.action == "train" and "signals_to_handle" in LaunchConfig.__dataclass_fields__:
        own_signals = {"signals_to_handle": "SIGINT,SIGHUP,SIGQUIT"}
    return LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=spec.launcher.num_procs,
        run_id=str(uuid.uuid4()),
        rdzv_backend="c10d",
        # Port 0 is a free one, so that two runs on one machine cannot meet by accident.
        rdzv_endpoint=f"localhost:{port}",
        local_addr="localhost",
        max_restarts=0,
        monitor_interval=0.1,
        start_method="spawn",
        logs_specs=DefaultLogsSpecs(log_dir=folder),
        **own_signals,
    )

"""The child process of a run: read the spec, call its entry, write the result, turn every failure into one error.

`python -P -m mimctl.engine.child spec.json`. Torch is imported by the entries, not here.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import multiprocessing
import os
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from mimctl.engine.nodes.address import choose_interface_of_task
from mimctl.engine.ranks import siblings
from mimctl.engine.ranks.errors import of_other_ranks
from mimctl.engine.ranks.place import take_place
from mimctl.engine.reporting.events import EventWriter, open_events, plain
from mimctl.errors import ExitCode, MimctlError, disk_error, render
from mimctl.files import write_text
from mimctl.spec import RunSpec

SLURM_VARIABLES = {"RANK": "SLURM_PROCID", "WORLD_SIZE": "SLURM_NTASKS", "LOCAL_RANK": "SLURM_LOCALID"}
TERMINATED = 128 + signal.SIGTERM


def main(argv: list[str] | None = None) -> int:
    """Run the spec named on the command line and return the exit code."""
    return start("mimctl.engine.child", lambda spec, path: run(spec), argv)


def start(module: str, entry: Callable[[RunSpec, Path], int], argv: list[str] | None = None) -> int:
    """Read the spec that the command line of `python -m module` names, and return what `entry(spec, path)` does."""
    arguments = sys.argv[1:] if argv is None else argv
    if len(arguments) != 1:
        print(f"usage: python -P -m {module} SPEC", file=sys.stderr)
        return ExitCode.USAGE
    path = Path(arguments[0]).absolute()
    try:
        spec = RunSpec.read(path)
    except MimctlError as error:
        print(render(error), file=sys.stderr)
        return error.exit_code
    return entry(spec, path)


def run(spec: RunSpec) -> int:
    """Call the spec's entry; return 0, the code of its error, 130 when interrupted, 143 when terminated."""
    signal.signal(signal.SIGTERM, _terminate)
    if spec.action == "train":
        # A warning that comes while the run is being built is kept for the hook that understands it.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2})
    take_place()
    siblings.announce()
    prepare_process(spec)
    events = open_events(spec)
    try:
        result = find_entry(spec)(spec)
        if int(os.environ.get("RANK", "0")) == 0:
            write_result(spec, result)
        events.emit("done", result=result)
        siblings.say_done()
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    except Exception as err:  # the error boundary of the child
        error = explain(err)
        report(error, events)
        return error.exit_code
    finally:
        events.close()
    return ExitCode.DONE


def prepare_process(spec: RunSpec) -> None:
    """Hide GPUs from a run on the CPU; let modules of the current folder be imported if the config asks for them.

    Under Slurm srun's variables are translated to torch's, whatever the shell had of these, unless an agent has started
    the rank.
    """
    if spec.launcher.kind == "slurm" and not spec.launcher.is_elastic:
        for ours, theirs in SLURM_VARIABLES.items():
            if theirs in os.environ:
                os.environ[ours] = os.environ[theirs]
        for name in [each for each in os.environ if each.startswith("TORCHELASTIC_")]:
            del os.environ[name]  # of an agent in the shell that submitted; this rank would wait for it
        choose_interface_of_task()
        if os.environ.get("WORLD_SIZE") == "1":
            # Who is alone meets nobody: any free port will do, whatever jobs share the node.
            # Not port 0: torch's client now and then takes it by its word.
            os.environ["MASTER_PORT"] = str(_free_port())
    if spec.launcher.device == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    if spec.config is not None and _has_custom_imports(spec):
        sys.path.append(str(Path.cwd()))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("", 0))
        return int(probe.getsockname()[1])


def find_entry(spec: RunSpec) -> Callable[[RunSpec], dict[str, Any]]:
    """Import the spec's entry, `module:function`."""
    module, _, name = spec.entry.partition(":")
    entry: Callable[[RunSpec], dict[str, Any]] = getattr(importlib.import_module(module), name)
    return entry


def write_result(spec: RunSpec, result: dict[str, Any]) -> None:
    """Write the result as JSON where the spec wants it."""
    if spec.result_path is not None:
        write_text(Path(spec.result_path), json.dumps(plain(result), indent=1, default=str) + "\n")


def explain(err: Exception) -> MimctlError:
    """Return the error that a person reads for any exception; what nobody foresaw keeps its traceback.

    Notes that were added to the exception become hints.
    """
    error = _explained(err)
    error.hints = (*error.hints, *getattr(err, "__notes__", ()))
    return error


def _explained(err: Exception) -> MimctlError:
    if isinstance(err, MimctlError):
        return err
    if isinstance(err, OSError) and (of_disk := disk_error(err)) is not None:
        return of_disk
    if isinstance(err, MemoryError) or type(err).__name__ == "OutOfMemoryError" or "out of memory" in str(err):
        return MimctlError(
            "out of memory",
            code="out-of-memory",
            causes=[str(err).splitlines()[0][:300]] if str(err) else [],
            hints=["take fewer images at a time: a smaller `--batch`, or a smaller `--imgsz`"],
        )
    if isinstance(err, RuntimeError) and "DataLoader worker" in str(err):
        return _of_worker(err)
    of_others = of_other_ranks(err)
    if of_others is not None:
        return of_others
    return MimctlError(
        f"{type(err).__name__}: {str(err).splitlines()[0] if str(err) else 'no message'}",
        code="child-crashed",
        causes=_last_place(err),
        details={"traceback": "".join(traceback.format_exception(err))},
    )


def report(error: MimctlError, events: EventWriter) -> None:
    """Send the error as an event, or to standard error where there are no events or they cannot be written.

    One of several ranks leaves it in a file, with its rank and its host, to whoever reports the first one.
    """
    collected = siblings.folder()
    if collected is not None:
        _sign(error)
        text = json.dumps(plain(error.to_dict()), default=str)
        with contextlib.suppress(OSError):
            write_text(collected / f"error-{os.environ['RANK']}.json", text)
            return
    elif events.is_on:
        with contextlib.suppress(OSError):
            events.emit("error", **error.to_dict())
            return
    print(render(error), file=sys.stderr)
    if "traceback" in error.details and os.environ.get("RANK", "0") == "0":
        print(error.details["traceback"], file=sys.stderr)


def _sign(error: MimctlError) -> None:
    """Write into an error which rank on which host it ends, and with which exit code."""
    rank, host = int(os.environ["RANK"]), socket.gethostname()
    where = f"on rank {rank} of {os.environ.get('WORLD_SIZE', '1')}, host {host}, with exit code {error.exit_code:d}"
    error.causes = (*error.causes, where)
    error.details = {**error.details, "rank": rank, "host": host, "where": where}


def _of_worker(err: Exception) -> MimctlError:
    return MimctlError(
        "a process that loads data died",
        code="worker-died",
        causes=[str(err).splitlines()[0]],
        hints=["load in the main process to see why: `--cfg-options train_dataloader.num_workers=0`"],
        details={"traceback": "".join(traceback.format_exception(err))},
    )


def _last_place(err: Exception) -> list[str]:
    if place := getattr(err.__cause__, "place", ""):
        return [f"in {place}, in a process that loads data"]
    frames = traceback.extract_tb(err.__traceback__)
    return [f"in {frames[-1].filename}:{frames[-1].lineno}"] if frames else []


def _has_custom_imports(spec: RunSpec) -> bool:
    if any(key.split(".")[0] == "custom_imports" for key in spec.overrides):
        return True
    from mimctl.config import Config
    from mimctl.engine.lookup.bases import find_base

    try:
        return bool(Config.fromfile(spec.config or "", search=find_base).get("custom_imports"))
    except MimctlError:
        return False


def _terminate(number: int, frame: FrameType | None) -> NoReturn:
    raise SystemExit(TERMINATED)


def leave(code: int) -> NoReturn:
    """End the process. One of several ranks ends at once: threads of its process group may abort a slow farewell.

    A script of somebody else's (`mimctl.engine.script`) may have left work for the end, and ends as Python does.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1 or "mimctl.engine.script" in sys.modules:
        sys.exit(code)
    for worker in multiprocessing.active_children():
        worker.terminate()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    try:
        exit_code = main()
    except SystemExit as stopped:
        exit_code = int(stopped.code or 0)
    leave(exit_code)

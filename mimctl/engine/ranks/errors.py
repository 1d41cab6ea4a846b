"""Errors that come from other ranks: a lost connection, a wait that took too long; and who of several began."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from mimctl.engine.ranks.siblings import process_ids, where_others_are
from mimctl.errors import MimctlError, Origin

LOST, TIMEOUT = "rank-lost", "rank-timeout"
_LOST = re.compile(
    r"connection closed by peer|connection reset by peer|broken pipe|connection was likely closed|recvBytes"
    r"|failed to recv|remote process (has )?exited|pair closure|connection refused|Socket Timeout|NCCL.*remote",
    re.IGNORECASE,
)
_TIMEOUT = re.compile(r"timed out waiting|wait timeout|timed out after|Watchdog caught collective", re.IGNORECASE)
_FROM_TORCH = ("DistError", "DistBackendError", "DistNetworkError", "DistStoreError")


def of_other_ranks(err: BaseException) -> MimctlError | None:
    """Return the error for what an exchange with other ranks raises when these are gone or too late, else None."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1 or not isinstance(err, RuntimeError):
        return None
    text = str(err)
    is_exchange = type(err).__name__ in _FROM_TORCH or "gloo" in text or "NCCL" in text or "TCPStore" in text
    if not is_exchange:
        return None
    first = text.splitlines()[0][:300] if text else type(err).__name__
    rank = os.environ.get("RANK", "0")
    if _TIMEOUT.search(text) and not re.search(r"connection (closed|reset)", text, re.IGNORECASE):
        others = where_others_are()
        return MimctlError(
            f"rank {rank} waited too long for the other ranks",
            code=TIMEOUT,
            causes=[first, *(f"rank {other} is at {place}" for other, place in others.items())],
            hints=[
                "a step that really takes longer: `--cfg-options env_cfg.dist_cfg.timeout=3600` (seconds)",
                "all ranks must do the same exchanges: look for an `if` that only some of them enter",
            ],
            details={"waiting": int(rank), "others": {str(other): place for other, place in others.items()}},
        )
    if _LOST.search(text):
        return MimctlError("the connection to another rank was lost", code=LOST, causes=[first])
    return None


def culprit(folder: Path, codes: Mapping[int, int], num_ranks: int, killed: Collection[int] = ()) -> MimctlError | None:
    """Return the error of the rank that began, None where all that ended were ended from outside.

    `folder` holds what ranks wrote (`error-<rank>.json`), `codes` are the exit codes of those that failed (negative:
    signals), `killed` the ranks that the agent ended itself. A rank that was killed says nothing, and what the others
    say of it (that they lost it, or waited for it) is only the consequence.
    """
    told = _told(folder)
    own = [each for each in told if each["code"] not in (LOST, TIMEOUT)]
    late = [each for each in told if each["code"] == TIMEOUT]
    silent = _silent(folder, codes, {each["details"]["rank"] for each in told} | set(killed))
    signalled = {rank: code for rank, code in silent.items() if code < 0}
    if own and not signalled:
        return read_error(own[0])
    if silent:
        return died(signalled or silent, num_ranks)
    return read_error([*own, *late, *told][0]) if told else None


def _told(folder: Path) -> list[dict[str, Any]]:
    """Return what ranks wrote, the earliest first."""
    errors = []
    for path in sorted(folder.glob("error-*.json"), key=lambda path: path.stat().st_mtime_ns):
        error: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        error["details"] = {**error.get("details", {}), "rank": int(path.stem.partition("-")[2])}
        errors.append(error)
    return errors


def _silent(folder: Path, codes: Mapping[int, int], known: Collection[int]) -> dict[int, int]:
    """Return the exit codes of ranks that ended by themselves and said nothing, before they were done."""
    ended = (-signal.SIGTERM, 128 + signal.SIGTERM)
    silent = {rank: code for rank, code in sorted(codes.items()) if rank not in known and code not in ended}
    for rank in sorted(process_ids(folder)):
        if rank not in codes and rank not in known and not (folder / f"done-{rank}").exists():
            silent[rank] = 0
    return silent


def read_error(told: Mapping[str, Any]) -> MimctlError:
    """Return the error that another process has written (`MimctlError.to_dict`)."""
    return MimctlError(
        str(told["message"]),
        code=str(told["code"]),
        causes=[str(each) for each in told.get("causes", ())],
        hints=[str(each) for each in told.get("hints", ())],
        exit_code=int(told["exit_code"]),
        details=dict(told["details"]),
        origin=Origin(file=str(told["origin"])) if told.get("origin") else None,
    )


def died(codes: Mapping[int, int], num_ranks: int) -> MimctlError:
    """Return the error for ranks that ended without a word; `codes` by rank, negative for signals."""
    rank, code = next(iter(codes.items()))
    host = socket.gethostname()
    how = f"by signal {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
    return MimctlError(
        f"rank {rank} of {num_ranks} ended {how}" + ("" if code else ", before it was done"),
        code="rank-died",
        causes=[f"on host {host}"],
        exit_code=128 - code if code < 0 else code or 1,
        details={"rank": rank, "host": host},
    )

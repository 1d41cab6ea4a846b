"""Who of several ranks began, told from what they wrote and how they ended."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from mimctl.engine.process import check_environment
from mimctl.engine.ranks.errors import culprit, of_other_ranks
from mimctl.engine.ranks.siblings import innermost_place
from mimctl.errors import ConfigError

OWN = {"code": "bad-data", "message": "bad data", "exit_code": 3}
LOST = {"code": "rank-lost", "message": "lost", "exit_code": 1}
LATE = {"code": "rank-timeout", "message": "late", "exit_code": 1}


@pytest.mark.parametrize(
    ("told", "codes", "killed", "expected"),
    [
        ({1: OWN}, {1: 3}, (), ("bad data", 3)),
        ({0: LOST, 1: OWN}, {0: 1, 1: 3}, (), ("bad data", 3)),
        ({0: OWN, 1: LOST}, {0: 3, 1: -9}, (1,), ("bad data", 3)),
        ({0: LOST}, {0: 1, 1: -9}, (), ("rank 1 of 3 ended by signal SIGKILL", 137)),
        ({0: LOST}, {0: 1, 1: 7}, (), ("rank 1 of 3 ended with exit code 7", 7)),
        ({0: LOST, 2: LOST}, {0: 1, 2: 1}, (), ("rank 1 of 3 ended with exit code 0, before it was done", 1)),
        ({0: LATE}, {0: 1, 1: -9}, (1,), ("late", 1)),
        ({0: LATE}, {0: 1, 1: -11}, (), ("rank 1 of 3 ended by signal SIGSEGV", 139)),
        ({0: OWN}, {0: 3, 1: -15, 2: 143}, (), ("bad data", 3)),
        ({}, {2: -6}, (), ("rank 2 of 3 ended by signal SIGABRT", 134)),
        ({0: LOST}, {0: 1, 1: -9, 2: -9}, (1, 2), ("lost", 1)),
    ],
)
def test_the_rank_that_began_is_told(
    tmp_path: Path,
    told: Mapping[int, Mapping[str, object]],
    codes: Mapping[int, int],
    killed: tuple[int, ...],
    expected: tuple[str, int],
) -> None:
    for rank in range(3):
        (tmp_path / f"pid-{rank}").write_text("1")
        if rank not in (1, *told, *codes):
            (tmp_path / f"done-{rank}").touch()
    for when, (rank, error) in enumerate(told.items()):
        path = tmp_path / f"error-{rank}.json"
        path.write_text(json.dumps(error))
        os.utime(path, (when, when))
    error = culprit(tmp_path, codes, 3, killed)
    assert (error.message, error.exit_code) == expected


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (
            "[../third_party/gloo/gloo/transport/tcp/pair.cc:547] Connection closed by peer [127.0.0.1]:3914",
            "rank-lost",
        ),
        ("[../gloo/transport/tcp/buffer.cc:138] gloo: Connection reset by peer", "rank-lost"),
        ("[../gloo/transport/tcp/unbound_buffer.cc:78] Timed out waiting 3000ms for recv operation", "rank-timeout"),
        ("gloo does not know this kind of number", None),
        ("mat1 and mat2 shapes cannot be multiplied", None),
    ],
)
def test_errors_of_exchanges_are_told_from_others(monkeypatch: pytest.MonkeyPatch, text: str, code: str | None) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "0")
    found = of_other_ranks(RuntimeError(text))
    assert (found.code if found else None) == code
    monkeypatch.setenv("WORLD_SIZE", "1")
    assert of_other_ranks(RuntimeError(text)) is None


def test_the_place_of_a_rank_is_outside_of_torch() -> None:
    stacks = """Thread 0x00007f (most recent call first):
  File "/usr/lib/python3.11/threading.py", line 331 in wait

Current thread 0x00007f2 (most recent call first):
  File "/venv/lib/site-packages/torch/distributed/distributed_c10d.py", line 2829 in all_reduce
  File "/usr/lib/python3.11/contextlib.py", line 81 in inner
  File "/home/me/my hooks.py", line 12 in after_train_iter
  File "<frozen runpy>", line 88 in _run_code
"""
    assert innermost_place(stacks) == "/home/me/my hooks.py:12 in after_train_iter"
    assert innermost_place("") is None


@pytest.mark.parametrize("timeout", [0, -1, "600", True])
def test_a_timeout_is_a_number_of_seconds(timeout: object) -> None:
    with pytest.raises(ConfigError, match="timeout"):
        check_environment({"dist_cfg": {"backend": "gloo", "timeout": timeout}})
    check_environment({"dist_cfg": {"timeout": 600}})

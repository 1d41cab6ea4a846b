"""Leaving the process group ends its threads: one that lived on into the interpreter's end could abort the process."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from loopback import free_ports

SCRIPT = """
import contextlib, time
from pathlib import Path
import torch
from torch import nn
from mimctl.engine.ranks import distributed
from mimctl.engine.ranks.parallel import wrap_model

def threads():
    num = 0
    for each in Path("/proc/self/task").iterdir():
        with contextlib.suppress(OSError):  # a thread may end while it is asked
            num += "gloo" in (each / "comm").read_text()
    return num

distributed.init("pytorch")
model = wrap_model(nn.Linear(1, 1), torch.device("cpu"))
model(torch.ones(2, 1)).sum().backward()
before = threads()
distributed.shutdown()
until = time.monotonic() + 60
while threads() and time.monotonic() < until:
    time.sleep(0.01)  # the system tells for a moment of threads that have been waited for
print(before > 0, threads(), model(torch.ones(1, 1)).shape)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="names of threads are Linux' own")
def test_no_thread_of_the_group_outlives_it_though_a_wrapped_model_does() -> None:
    ranks = {"RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_ports(1)[0])}
    found = subprocess.run([sys.executable, "-c", SCRIPT], env={**os.environ, **ranks}, capture_output=True, text=True)
    assert (found.returncode, found.stdout) == (0, "True 0 torch.Size([1, 1])\n"), found.stderr

"""A work dir is free again at once when the run that held it was killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mimctl.engine.running.work_dir import locked
from mimctl.errors import MimctlError

HOLDER = """
import multiprocessing, os, sys, time
from pathlib import Path
from mimctl.engine.running.work_dir import locked

def work():
    print(os.getpid(), flush=True)
    time.sleep(900)

with locked(Path(sys.argv[1])):
    multiprocessing.get_context("fork").Process(target=work, daemon=True).start()
    time.sleep(900)
"""


def test_processes_that_outlive_a_killed_run_do_not_hold_its_work_dir(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    argv = [sys.executable, "-c", HOLDER, str(tmp_path)]
    holder = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, env=environment)
    assert holder.stdout is not None
    worker = int(holder.stdout.readline())
    with pytest.raises(MimctlError, match="another run is training"), locked(tmp_path):
        pass
    holder.kill()
    holder.wait()
    try:
        os.kill(worker, 0)  # it is still there
        with locked(tmp_path):
            pass
    finally:
        os.kill(worker, signal.SIGKILL)

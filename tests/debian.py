"""Programs that tests bring with them: Debian's packages, fetched where root may."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence

import pytest


def require_programs(programs: Sequence[str], packages: Sequence[str], what: str) -> None:
    """Skip the test where programs lack and Debian's `packages` cannot be fetched; `what` names them to people."""
    if all(map(shutil.which, programs)):
        return
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        pytest.skip(f"there is no {what} here, and no way to fetch it")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    # Two files of tests may want packages at a time.
    patient = ["apt-get", "-o", "DPkg::Lock::Timeout=300", "-o", "Acquire::Retries=2"]
    for line in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", *packages]):
        done = subprocess.run([*patient, *line], env=environment, capture_output=True, text=True, timeout=900)
        if done.returncode != 0 and line[0] == "install":
            pytest.skip(f"the package server gives no {what}: {done.stderr.strip()[-200:]}")

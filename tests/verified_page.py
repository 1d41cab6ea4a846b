"""From wheels to the page that says what was verified of them, by the command line alone."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path


def table_of(site: Path) -> list[list[str]]:
    """Return what the start page of an index says was verified, as rows of text."""
    table = (site / "index.html").read_text(encoding="utf-8").split("<h2>What was verified</h2>")[1].split("<h2>")[0]
    rows = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in re.findall(r"<tr>(.*?)</tr>", table)]
    return [[re.sub(r"<[^>]+>", "", each) for each in row] for row in rows]


def run_cli(*arguments: object, cache: Path) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process of its own, with a cache of the test's."""
    argv = [sys.executable, "-P", "-m", "mimctl", *map(str, arguments)]
    return subprocess.run(argv, env={**os.environ, "MIMCTL_CACHE_DIR": str(cache)}, capture_output=True, text=True)

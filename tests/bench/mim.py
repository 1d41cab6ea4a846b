"""Help, list and search against mim (openmim 0.3.9): user + system time of whole processes, median of several runs.

python tests/bench/mim.py --mim PYTHON [--runs N]

PYTHON is the interpreter of an environment of mim's own that also holds the package that is searched:
`pip install 'setuptools<81' openmim==0.3.9`, `pip install --no-deps mmdet==3.3.0`. Both tools run in it (what mimctl
imports is there, as mim brings it); one line more is mimctl in an environment of its own, looking into that one.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

PACKAGE = "mmdet"
ROOT = Path(__file__).resolve().parents[2]


def cpu_ms(argv: list[str], environment: dict[str, str]) -> float:
    """Return user + system time in ms of one process and its children."""
    child = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)
    _, status, usage = os.wait4(child.pid, 0)
    assert status == 0, f"it failed: {argv}"
    return 1000 * (usage.ru_utime + usage.ru_stime)


def main() -> None:
    """Print a line per command: mim's time, ours, how many times less ours is."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--mim", required=True, type=Path, help="the interpreter of mim's environment")
    parser.add_argument("--runs", type=int, default=7)
    given = parser.parse_args()
    python = str(given.mim.absolute())
    mim, ours = [python, "-m", "mim"], [python, "-m", "mimctl"]
    searching = ["search", PACKAGE, "--model", "rtmdet"]
    with tempfile.TemporaryDirectory() as cache:
        own = {**os.environ, "MIMCTL_CACHE_DIR": cache, "MIMCTL_HOME": cache, "PYTHONPATH": str(ROOT)}
        own |= {"MIMCTL_PYTHON": python}
        fresh = cpu_ms([*ours, *searching], own)  # parses the metafiles and keeps the outcome
        cases = {
            "--help": ([*mim, "--help"], [*ours, "--help"]),
            "list": ([*mim, "list"], [*ours, "list"]),
            "list, from elsewhere": ([*mim, "list"], [sys.executable, "-m", "mimctl", "list"]),
            "search": ([*mim, *searching], [*ours, *searching]),
        }
        samples: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in cases}
        bare = []
        for _ in range(given.runs):
            bare.append(cpu_ms([python, "-c", "pass"], own))
            for name, (theirs, line) in cases.items():  # interleaved: a slow moment hits all alike
                samples[name][0].append(cpu_ms(theirs, own))
                samples[name][1].append(cpu_ms(line, own))
    print(f"{'python -c pass':24} {statistics.median(bare):8.1f} ms")
    for name, (theirs, mine) in samples.items():
        old, new = statistics.median(theirs), statistics.median(mine)
        print(f"{name:24} mim {old:8.1f} ms   mimctl {new:8.1f} ms   {old / new:5.1f}x less")
    print(f"{'search, first time':24} {'':15}   mimctl {fresh:8.1f} ms")


if __name__ == "__main__":
    main()

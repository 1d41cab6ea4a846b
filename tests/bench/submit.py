"""What submitting a training costs beside sbatch itself: seconds until the job's id is known.

python tests/bench/submit.py [RUNS]

A real Slurm is brought up (root, Debian's packages). `mimctl train … --detach` and `sbatch` of the script that it wrote
take turns, on the CPU time of their processes and on the wall clock. The last line is what counts: at most 0.5 s more.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
BUDGET_S = 0.5
OPTIONS = ("--launcher", "slurm", "--gpus", "0", "-c", "1", "--detach", "--work-dir", "w")


def seconds(command: list[str], folder: Path, environment: dict[str, str]) -> tuple[float, float]:
    """Return the wall-clock time of one command, and the CPU time of it and what it has waited for."""
    begin, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    worked = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.perf_counter() - begin, worked


def measure(folder: Path, environment: dict[str, str], runs: int) -> dict[str, list[tuple[float, float]]]:
    """Submit so many jobs each way, held: none of them takes the time of those after it."""
    mimctl = [sys.executable, "-P", "-m", "mimctl", "train", "toy", "toy_small", *OPTIONS, "--sbatch-args=--hold"]
    seconds(mimctl, folder, environment)  # what is kept for the next time is kept now
    script = next((folder / "w").glob("*/job.sbatch"))
    commands = {"sbatch": ["sbatch", "--parsable", "--hold", str(script)], "mimctl train --detach": mimctl}
    samples: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
    for _ in range(runs):
        for name, command in commands.items():  # interleaved, so that a slow moment hits all alike
            samples[name].append(seconds(command, folder, environment))
    return samples


def main() -> None:
    """Print a line per way, and the difference."""
    sys.path.append(str(ROOT / "tests"))
    from mini_slurm import mini_slurm
    from toy_toolbox import install_toolbox

    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "site").mkdir()
        install_toolbox(folder / "site", "toy")
        with mini_slurm(folder / "slurm") as cluster:
            paths = os.pathsep.join([str(ROOT), str(folder / "site")])
            own = {"MIMCTL_HOME": str(folder / "home"), "MIMCTL_PYTHON": sys.executable, "PYTHONPATH": paths}
            environment = {**os.environ, **cluster, **own}
            environment.pop("PYTHONDONTWRITEBYTECODE", None)  # mimctl as it is installed: compiled once
            samples = measure(folder, environment, runs)
    shown = {}
    for each, taken in samples.items():
        walls, works = zip(*taken, strict=True)
        shown[each] = statistics.median(walls), min(walls), statistics.median(works), min(works)
        print(line(each, shown[each]))
    more = tuple(ours - theirs for ours, theirs in zip(shown["mimctl train --detach"], shown["sbatch"], strict=True))
    print(line("more than sbatch", more), f" (at most {BUDGET_S} s)")


def line(name: str, figures: tuple[float, ...]) -> str:
    """Return one line of the table: median and least wall-clock time, median and least CPU time."""
    median, least, cpu, least_cpu = figures
    return f"{name:<22} wall {median:6.2f} s, least {least:6.2f} s; CPU {cpu:6.2f} s, least {least_cpu:6.2f} s"


if __name__ == "__main__":
    main()

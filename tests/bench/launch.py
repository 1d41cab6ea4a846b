"""What starting two ranks costs beside torchrun: seconds from the command to the end of a run that adds two numbers.

python tests/bench/launch.py [RUNS]

Each starts two processes that join a gloo group, add up their ranks and end: torchrun a script, mimctl's agent a
specification, `mimctl train` a config, with all that comes before. The runs take turns. On a loaded machine CPU time
and the least say more than the median of the wall clock. The last lines are what counts: at most 0.3 s more.
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

from mimctl import __version__
from mimctl.spec import LauncherFacts, RunSpec

ROOT = Path(__file__).parents[2]

BUDGET_S = 0.3
SCRIPT = """
import torch
from torch import distributed
distributed.init_process_group("gloo")
total = torch.tensor(distributed.get_rank() + 1)
distributed.all_reduce(total)
assert int(total) == 3
distributed.destroy_process_group()
"""
ENTRY = """
import torch
from mimctl.engine.ranks import distributed

def run(spec):
    distributed.init("pytorch")
    total = int(distributed.all_reduce(torch.tensor(distributed.get_rank() + 1)))
    distributed.shutdown()
    return {"total": total}

train = run
"""


def commands(folder: Path) -> dict[str, list[str]]:
    """Write the script and the entry, and return what starts each."""
    script, entry, spec_path = folder / "script.py", folder / "trivial_entry.py", folder / "spec.json"
    if not script.exists():
        sys.path.append(str(ROOT / "tests"))
        from toy_toolbox import install_toolbox

        (install_toolbox(folder, "toy") / "entries.py").write_text(ENTRY)
    script.write_text(SCRIPT)
    entry.write_text(ENTRY)
    spec = RunSpec(
        plugin="toy",
        package="toy",
        action="test",
        entry="trivial_entry:run",
        mimctl_version=__version__,
        result_path=str(folder / "result.json"),
        launcher=LauncherFacts(kind="pytorch", num_procs=2),
    )
    spec.write(spec_path)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--rdzv-backend=c10d", "--rdzv-endpoint=localhost:0"]
    mimctl = [sys.executable, "-P", "-m", "mimctl", "train", "toy", "toy_small"]
    return {
        "torchrun": [*torchrun, "--local-addr=localhost", "--nproc-per-node=2", str(script)],
        "mimctl.engine.agent": [sys.executable, "-P", "-m", "mimctl.engine.agent", str(spec_path)],
        "mimctl train": [*mimctl, "--procs", "2", "--work-dir", str(folder / "w")],
    }


def seconds(command: list[str], folder: Path) -> tuple[float, float]:
    """Return the wall-clock time of one run, and the CPU time of all its processes."""
    paths = os.pathsep.join([str(folder), str(ROOT)])
    own = {"MIMCTL_HOME": str(folder / "home"), "MIMCTL_PYTHON": sys.executable, "OMP_NUM_THREADS": "1"}
    environment = {**os.environ, **own, "PYTHONPATH": paths, "CUDA_VISIBLE_DEVICES": ""}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # all as they are installed: compiled once
    begin, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, env=environment, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    worked = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.perf_counter() - begin, worked


def main() -> None:
    """Print a line per launcher, and the difference."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        samples: dict[str, list[tuple[float, float]]] = {each: [] for each in commands(folder)}
        for _ in range(runs):
            for each, command in commands(folder).items():  # interleaved, so that a slow moment hits all alike
                samples[each].append(seconds(command, folder))
    shown = {}
    for each, taken in samples.items():
        walls, works = zip(*taken, strict=True)
        shown[each] = statistics.median(walls), min(walls), statistics.median(works), min(works)
        print(line(each, shown[each]))
    for each in ("mimctl.engine.agent", "mimctl train"):
        more = tuple(ours - theirs for ours, theirs in zip(shown[each], shown["torchrun"], strict=True))
        print(line(f"{each}, more", more), f" (at most {BUDGET_S} s)")


def line(name: str, figures: tuple[float, ...]) -> str:
    """Return one line of the table: median and least wall-clock time, median and least CPU time."""
    median, least, cpu, least_cpu = figures
    return f"{name:<26} wall {median:6.2f} s, least {least:6.2f} s; CPU {cpu:6.2f} s, least {least_cpu:6.2f} s"


if __name__ == "__main__":
    main()

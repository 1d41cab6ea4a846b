"""How soon a failure is told: seconds from the moment at which a rank fails to the end of `mimctl train`.

python tests/bench/failure.py [RUNS]

The other rank listens to no signal. With a Slurm of two nodes (root, Debian's packages) a watched step is measured too.
At most 2 s are wanted, on a machine that is not busy with other things.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
BUDGET_S = 2.0
LAUNCHERS = {
    "one process": ("--gpus", "0"),
    "pytorch": ("--procs", "2"),
    "slurm, watched": ("--launcher", "slurm", "--foreground", "--procs", "2", "-c", "1"),
}
KINDS = ("bug", "exit", "SIGKILL", "SIGSEGV")


def seconds(folder: Path, environment: dict[str, str], kind: str, launch: tuple[str, ...]) -> tuple[float, float]:
    """Return the time until the failure was told, and until no process of the run was there."""
    from rough_toolbox import process_ids, wait_for_end

    with tempfile.TemporaryDirectory(dir=folder) as name:
        work_dir = Path(name)
        argv = [sys.executable, "-P", "-m", "mimctl", "train", "rough", "rough_small", *launch]
        argv += ["--cfg-options", f"model.mode={kind} deaf", "--work-dir", str(work_dir)]
        subprocess.run(argv, cwd=folder, env=environment, capture_output=True, timeout=120)
        told = time.time()
        wait_for_end(process_ids(work_dir), seconds=60)
        failed = float((work_dir / "failed").read_text())
        return told - failed, time.time() - failed


def main() -> None:
    """Print a line per launcher and kind of failure."""
    sys.path.append(str(ROOT / "tests"))
    from mini_slurm import mini_slurm
    from rough_toolbox import install_rough_toolbox

    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        install_rough_toolbox(folder / "site")
        paths = os.pathsep.join([str(ROOT), str(folder / "site")])
        own = {"MIMCTL_HOME": str(folder / "home"), "MIMCTL_PYTHON": sys.executable, "PYTHONPATH": paths}
        with mini_slurm(folder / "slurm") as cluster:
            environment = {**os.environ, **cluster, **own, "OMP_NUM_THREADS": "1"}
            environment.pop("PYTHONDONTWRITEBYTECODE", None)
            for launcher, launch in LAUNCHERS.items():
                for kind in KINDS:
                    taken = [seconds(folder, environment, kind, launch) for _ in range(runs)]
                    told, left = (sorted(values) for values in zip(*taken, strict=True))
                    shown = (
                        f"told {statistics.median(told):5.2f} s, least {told[0]:5.2f} s; none left {left[-1]:5.2f} s"
                    )
                    print(f"{launcher:<16} {kind:<8} {shown}  (at most {BUDGET_S} s)")


if __name__ == "__main__":
    main()

"""What the Runner costs: CPU time of a training iteration over that of a bare PyTorch loop, beside other frameworks.

    python tests/bench/overhead.py [--peer mmengine=PYTHON] [--peer accelerate=PYTHON] [--peer lightning=PYTHON]

A peer's PYTHON is the interpreter of an environment that has it; a peer without one is skipped. All train the tiny MLP
of `loops/task.py` with the same data loader and optimizer in one thread; each loop runs in turns with the bare one, in
the same process. Shown are the medians of the rounds, and the difference between the quickest 100 iterations of each,
which a busy machine changes less. `--long` really trains 301,000 iterations with seven scalars (five minutes on an
idle core) and shows what an iteration and a checkpoint cost early and late.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROUNDS, ITERATIONS = 9, 600
OURS = {
    "mimctl, default hooks": ("mimctl_runner.py", "default"),
    "mimctl, no hooks": ("mimctl_runner.py", "none"),
    "mimctl, default hooks, samples seeded": ("mimctl_runner.py", "data"),
}
PEERS = {
    "mmengine": {
        "mmengine, default hooks": ("mmengine_runner.py", "default"),
        "mmengine, no hooks": ("mmengine_runner.py", "none"),
    },
    "accelerate": {"accelerate": ("accelerate_loop.py", "")},
    "lightning": {
        "lightning, default": ("lightning_trainer.py", "default"),
        "lightning, barebones": ("lightning_trainer.py", "barebones"),
    },
}
IMPORT = "import time; start = time.process_time(); import {}; print(time.process_time() - start)"
CONSTRUCT = """
import sys, tempfile, time
from torch import nn
from mimctl.engine.runner import Runner
start = time.process_time()
Runner(nn.Linear(1, 1), work_dir=tempfile.gettempdir())
print(time.process_time() - start)
"""


def run(python: str, arguments: list[str]) -> str:
    """Return what a program prints; our package is found wherever this file lies."""
    environment = {**os.environ, "PYTHONPATH": str(HERE.parents[1]), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([python, *arguments], env=environment, capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(done.stderr)
    return done.stdout


def show_iterations(peers: dict[str, str]) -> None:
    """Print a line for each loop."""
    loops = [(name, sys.executable, program) for name, program in OURS.items()]
    for peer, programs in PEERS.items():
        if peer not in peers:
            print(f"{peer}: skipped, no --peer {peer}=PYTHON")
        else:
            loops += [(name, peers[peer], program) for name, program in programs.items()]
    for name, python, (program, kind) in loops:
        printed = run(python, [str(HERE / "loops" / program), str(ROUNDS), str(ITERATIONS), kind])
        found = json.loads(printed.splitlines()[-1])
        quickest = f"quickest windows +{found['least']:.0f} over {found['quickest']:.0f}"
        print(f"{name:38} +{found['over']:6.0f} µs over {found['bare']:5.0f} µs of the bare loop ({quickest})")


def show_start() -> None:
    """Print what importing and constructing take, in seconds of CPU time: medians of five processes each."""
    programs = {
        "import torch": IMPORT.format("torch"),
        "import mimctl.engine.runner": IMPORT.format("mimctl.engine.runner"),
        "Runner(…)": CONSTRUCT,
    }
    samples: dict[str, list[float]] = {name: [] for name in programs}
    for _ in range(5):
        for name, program in programs.items():
            samples[name].append(float(run(sys.executable, ["-c", program])))
    for name, values in samples.items():
        print(f"{name:38} {statistics.median(values):.3f} s")


def show_long_run() -> None:
    """Print what an iteration costs along a long run."""
    for line in run(sys.executable, [str(HERE / "loops" / "mimctl_long.py"), "301000", "1000"]).splitlines():
        found: dict[str, Any] = json.loads(line)
        cost = f"+{found['over']:.0f} µs over {found['bare']:.0f} µs of the bare loop"
        print(f"at iteration {found['at']:>7,}: {cost}, checkpoint {found['bytes']:,} bytes")


def main() -> None:
    """Print all figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=PYTHON", help=f"one of {', '.join(PEERS)}")
    parser.add_argument("--long", action="store_true", help="train 301,000 iterations as well")
    options = parser.parse_args()
    peers = dict(each.split("=", 1) for each in options.peer)
    if unknown := set(peers) - set(PEERS):
        parser.error(f"no such peer: {', '.join(sorted(unknown))}")
    show_iterations(peers)
    show_start()
    if options.long:
        show_long_run()


if __name__ == "__main__":
    main()

"""Start-up of the command line as a ratio to `python -c pass`: CPU time of processes, median of several runs.

python tests/bench/startup.py [RUNS]

Time of the programs that `mimctl env` asks (uv, nvcc, nvidia-smi) is not counted.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

# Says at the end what the programs that it has started took, in seconds.
COUNTED = """import atexit, resource, runpy, sys
def say():
    asked = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(asked.ru_utime + asked.ru_stime, file=sys.stderr)
atexit.register(say)
runpy.run_module("mimctl", run_name="__main__", alter_sys=True)
"""
# Completes the last word of a line, as the shells ask for it.
COMPLETED = """import os, runpy, sys
words = sys.argv.pop()
os.environ.update(_MIMCTL_COMPLETE="bash_complete", COMP_WORDS=words, COMP_CWORD=str(words.count(" ")))
runpy.run_module("mimctl", run_name="__main__", alter_sys=True)
"""
COMMANDS = {
    "python -c pass": ["-c", "pass"],
    "mimctl --version": ["-m", "mimctl", "--version"],
    "mimctl --help": ["-m", "mimctl", "--help"],
    "mimctl train --help": ["-m", "mimctl", "train", "--help"],
    "mimctl instal (usage error)": ["-m", "mimctl", "instal"],
    "mimctl tr<Tab>": ["-c", COMPLETED, "mimctl tr"],
    "mimctl train det rt<Tab>": ["-c", COMPLETED, "mimctl train det rt"],
    "mimctl infer det rt<Tab>": ["-c", COMPLETED, "mimctl infer det rt"],
    "mimctl list --json": ["-m", "mimctl", "list", "--json"],
    "mimctl env": ["-c", COUNTED, "env"],
    "mimctl search det --model rtmdet": ["-m", "mimctl", "search", "det", "--model", "rtmdet"],
}
BUDGETS = {
    "mimctl search det --model rtmdet": 10.0,
    "mimctl --version": 2.0,
    "mimctl infer det rt<Tab>": 8.0,
    "mimctl list --json": 8.0,
    "mimctl env": 9.0,
}


def cpu_ms(arguments: list[str]) -> float:
    """Return user + system time in ms of one process."""
    child = subprocess.Popen([sys.executable, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    said = child.stderr.read() if child.stderr else ""
    _, _, usage = os.wait4(child.pid, 0)
    asked = float(said.split()[-1]) if COUNTED in arguments else 0.0
    return 1000 * (usage.ru_utime + usage.ru_stime - asked)


def main() -> None:
    """Make an index to search in, and measure."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from zoo_site import write_catalogue

    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    with tempfile.TemporaryDirectory() as folder:
        os.environ["MIMCTL_INDEX_URL"] = str(write_catalogue(Path(folder) / "index"))  # the whole catalogue
        measure(runs)


def measure(runs: int) -> None:
    """Print a line per command: median CPU time, ratio to the bare interpreter, budget."""
    samples: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(runs):
        for name, arguments in COMMANDS.items():  # interleaved, so that a slow moment hits all alike
            samples[name].append(cpu_ms(arguments))
    bare = statistics.median(samples["python -c pass"])
    for name, values in samples.items():
        median = statistics.median(values)
        print(f"{name:34} {median:7.1f} ms  {median / bare:5.2f}x  (budget {BUDGETS.get(name, 6.5)}x)")


if __name__ == "__main__":
    main()

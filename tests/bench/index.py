"""Building an index of many small wheels from nothing, and again after one was added: CPU time of whole processes.

python tests/bench/index.py [WHEELS]
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tiny_wheels import write_wheel

DESCRIPTION = "\n" + "What this toolbox is for, in several paragraphs. " * 80


def cpu_s(*arguments: str | Path) -> float:
    """Return user + system time in s of one `mimctl` process."""
    argv = [sys.executable, "-m", "mimctl", *map(str, arguments)]
    child = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    assert status == 0, "the build failed"
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    """Print both times and their ratio."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["MIMCTL_CACHE_DIR"] = str(folder / "cache")
        os.chdir(folder)

        def write(number: int) -> None:
            header = f"Requires-Python: >=3.11\nRequires-Dist: torch>=2.10\n{DESCRIPTION}"
            write_wheel(folder / "wheels", f"toolbox_{number % 40}-0.{number}.0-py3-none-any.whl", metadata=header)

        for number in range(count):
            write(number)
        time.sleep(0.2)  # what was written this instant is not remembered
        build = ("index", "build", "--wheels", folder / "wheels", "--out", folder / "site")
        fresh = cpu_s(*build)
        again = []
        for number in range(3):
            write(count + number)
            again.append(cpu_s(*build))
        start = cpu_s("index", "build", "--help")
    best = min(again)
    print(f"{count} wheels from nothing {fresh:.2f} s, with one more {best:.2f} s: {fresh / best:.1f}x")
    print(f"without the start of the process ({start:.2f} s): {(fresh - start) / (best - start):.1f}x")


if __name__ == "__main__":
    main()

"""Help, list and search against mim (openmim 0.3.9): user + system time of whole processes, median of several runs.

python tests/bench/mim.py --mim PYTHON [--runs N]

PYTHON is the interpreter of an environment of mim's own that also holds the package that is searched:
`pip install 'setuptools<81' openmim==0.3.9 packaging`, `pip install --no-deps mmdet==3.3.0`. Both tools run in it (what
mimctl imports is there, mostly as mim brings it); one line more is mimctl in an environment of its own, looking into
that one. The searches in the zoo are answered by an index with our whole catalogue: a folder, and one that was fetched
once and is read offline. Each line ends with our time as a multiple of the bare interpreter's.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

PACKAGE = "mmdet"
ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))


def cpu_ms(argv: list[str], environment: dict[str, str]) -> float:
    """Return user + system time in ms of one process and its children."""
    child = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)
    _, status, usage = os.wait4(child.pid, 0)
    assert status == 0, f"it failed: {argv}"
    return 1000 * (usage.ru_utime + usage.ru_stime)


class Quiet(SimpleHTTPRequestHandler):
    """Serves files and says nothing of it."""

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def fetch_once(folder: Path, line: list[str], environment: dict[str, str]) -> str:
    """Serve an index while `line` reads it, and return its address, where nobody answers any more."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        cpu_ms([*line, "--index", address], environment)
        server.shutdown()
    return address


def main() -> None:
    """Print a line per command: mim's time, ours, how many times less ours is."""
    from zoo_site import write_catalogue

    parser = argparse.ArgumentParser()
    parser.add_argument("--mim", required=True, type=Path, help="the interpreter of mim's environment")
    parser.add_argument("--runs", type=int, default=7)
    given = parser.parse_args()
    python = str(given.mim.absolute())
    mim, ours = [python, "-m", "mim"], [python, "-m", "mimctl"]
    searching = ["search", PACKAGE, "--model", "rtmdet"]
    in_zoo = [*ours, "search", "det", "--model", "rtmdet"]
    with tempfile.TemporaryDirectory() as cache:
        catalogue = Path(cache) / "catalogue"
        write_catalogue(catalogue)
        own = {**os.environ, "MIMCTL_CACHE_DIR": cache, "MIMCTL_HOME": cache, "PYTHONPATH": str(ROOT)}
        own |= {"MIMCTL_PYTHON": python}
        fresh = cpu_ms([*ours, *searching], own)  # parses the metafiles and keeps the outcome
        fetched = fetch_once(catalogue, in_zoo, own)
        asked = [*ours, "search", "det", "box_ap>=40", "--sort", "-box_ap", "--json", "--index", str(catalogue)]
        everything = [*ours, "search", "det", "--index", str(catalogue)]
        cases = {
            "--help": ([*mim, "--help"], [*ours, "--help"]),
            "list": ([*mim, "list"], [*ours, "list"]),
            "list, from elsewhere": ([*mim, "list"], [sys.executable, "-m", "mimctl", "list"]),
            "search": ([*mim, *searching], [*ours, *searching]),
            "search, our zoo": ([*mim, *searching], [*in_zoo, "--index", str(catalogue)]),
            "search, our zoo, all of it": ([*mim, "search", PACKAGE], everything),
            "search, our zoo, --json": ([*mim, *searching], asked),
            "search, our zoo, --offline": ([*mim, *searching], [*in_zoo, "--index", fetched, "--offline"]),
        }
        samples: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in cases}
        bare = []
        for _ in range(given.runs):
            bare.append(cpu_ms([python, "-c", "pass"], own))
            for name, (theirs, line) in cases.items():  # interleaved: a slow moment hits all alike
                samples[name][0].append(cpu_ms(theirs, own))
                samples[name][1].append(cpu_ms(line, own))
    pass_ms = statistics.median(bare)
    print(f"{'python -c pass':28} {pass_ms:8.1f} ms")
    for name, (theirs, mine) in samples.items():
        old, new = statistics.median(theirs), statistics.median(mine)
        ratios = f"{old / new:5.1f}x less   {new / pass_ms:5.1f}x a bare interpreter"
        print(f"{name:28} mim {old:8.1f} ms   mimctl {new:8.1f} ms   {ratios}")
    print(f"{'search, first time':28} {'':15}   mimctl {fresh:8.1f} ms")


if __name__ == "__main__":
    main()

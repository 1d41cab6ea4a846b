"""`mimctl install det` against the installers' own time for the same set, from a local HTTP index with warm caches.

python tests/bench/install.py WHEELS [RUNS [uv,pip]]

WHEELS is a folder of real wheels: mimctl, mimctl-det, mimctl-ops (CPU), all that they need but torch, and setuptools.
The torch of the interpreter that runs this is linked into each environment, as a person has one already. Wall time,
median of RUNS (5), each in a fresh environment; the import of torch and the operators that verifies an installation is
told apart.
"""

from __future__ import annotations

import functools
import hashlib
import http.server
import importlib.metadata
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TORCH = ("torch", "filelock", "typing_extensions", "sympy", "mpmath", "networkx", "jinja2", "markupsafe", "fsspec")
ALLOWED_S = 0.5
NO_OP_BUDGET = 12.0


def main() -> None:
    """Print a line per installer, then the cost of an installation that has nothing to do."""
    wheels = Path(sys.argv[1]).resolve()
    runs = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        place = Path(scratch)
        with served(place / "www") as address:
            template = make_index(place, wheels, address)
            for installer in (sys.argv[3] if len(sys.argv) > 3 else "uv,pip").split(","):
                compare(installer, place, template, address, runs)
            no_op(place, template, address, max(runs, 11))


def make_index(place: Path, wheels: Path, address: str) -> Path:
    """Write both indexes and an environment with torch to copy."""
    simple, own = place / "www" / "simple", place / "own"
    own.mkdir()
    for wheel in wheels.glob("*.whl"):
        project = simple / wheel.name.partition("-")[0].replace("_", "-").lower()
        project.mkdir(parents=True, exist_ok=True)
        shutil.copy(wheel, project)
        if wheel.name.startswith("mimctl"):
            shutil.copy(wheel, own)
    for project in simple.iterdir():
        links = "".join(link(each) for each in sorted(project.glob("*.whl")))
        (project / "index.html").write_text(f"<!DOCTYPE html><html><body>{links}</body></html>")
    index = [sys.executable, "-m", "mimctl", "index", "build", "--wheels", own, "--out", place / "www" / "index", "-q"]
    subprocess.run(index, cwd=ROOT, check=True)
    template = place / "template"
    subprocess.run([sys.executable, "-m", "venv", template], check=True)
    # A new environment's own setuptools may be too old for torch.
    newer = [template / "bin" / "python", "-m", "pip", "install", "-q", "--no-index", "--find-links", wheels]
    subprocess.run([*newer, "--upgrade", "setuptools"], check=True)
    link_torch(next(template.glob("lib/python*/site-packages")))
    return template


def link(wheel: Path) -> str:
    """Return the line of a project's page for a wheel, with its hash as indexes have it."""
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    return f'<a href="{wheel.name}#sha256={digest}">{wheel.name}</a><br>\n'


def link_torch(folder: Path) -> None:
    """Link this interpreter's torch and what it requires into a folder of installed packages."""
    for name in TORCH:
        for file in importlib.metadata.distribution(name).files or ():
            top = file.parts[0]
            source = Path(str(file.locate())).parents[len(file.parts) - 1] / top
            if top not in ("..", "bin", "__pycache__") and not (folder / top).exists():
                # Installers do not follow links to what says that something is installed.
                shutil.copytree(source, folder / top) if top.endswith(".dist-info") else (folder / top).symlink_to(
                    source
                )


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve a folder over HTTP on loopback."""
    folder.mkdir()
    handler = functools.partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves and prints nothing."""

    def log_message(self, format: str, *args: object) -> None:
        """Print nothing."""


def environment(place: Path, address: str) -> dict[str, str]:
    """Return variables that name the local index and caches of the bench's own."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return {
        **kept,
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_INDEX_URL": f"{address}/simple/",
        "PIP_CACHE_DIR": str(place / "pip-cache"),
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "UV_NO_CONFIG": "1",
        "UV_INDEX_URL": f"{address}/simple/",
        "UV_CACHE_DIR": str(place / "uv-cache"),
        "MIMCTL_INDEX_URL": f"{address}/index",
        "MIMCTL_CACHE_DIR": str(place / "cache"),
        "MIMCTL_HOME": str(place / "home"),
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
    }


def compare(installer: str, place: Path, template: Path, address: str, runs: int) -> None:
    """Print what mimctl adds to one installer's own time."""
    variables = environment(place, address)
    bare = {name: value for name, value in variables.items() if name != "PYTHONPATH"}
    uv = str(Path(sys.executable).parent / "uv")

    def ours(python: Path) -> list[str]:
        words = ["install", "det", "--yes", "-q", "--installer", installer, "--python", str(python)]
        return [sys.executable, "-m", "mimctl", *words]

    def theirs(python: Path) -> list[str]:
        own = [uv, "pip", "install", "--python", str(python)]
        return [*(own if installer == "uv" else [str(python), "-m", "pip", "install"]), "-q", "mimctl-det", OPENCV]

    def verify(python: Path) -> list[str]:
        return [str(python), "-m", "mimctl_ops", "--json"]

    samples: dict[str, list[float]] = {"ours": [], "theirs": [], "verify": []}
    for number in range(runs + 1):
        taken = {}
        for name, line, variables_of in (("theirs", theirs, bare), ("ours", ours, variables)):
            python = fresh(template, place / "venv")
            taken[name] = seconds(line(python), variables_of, place)
        for compiled in (place / "venv").glob("lib/python*/site-packages/mimctl_ops/**/__pycache__"):
            shutil.rmtree(compiled)  # as it is right after an installation
        taken["verify"] = seconds(verify(place / "venv" / "bin" / "python"), bare, place)
        if number:  # the first run fills the caches
            for name, value in taken.items():
                samples[name].append(value)
    median = {name: statistics.median(values) for name, values in samples.items()}
    net = median["ours"] - median["verify"]
    more = net - median["theirs"]
    verdict = "ok" if more <= ALLOWED_S else "MISSED"
    print(
        f"{installer:4} own {median['theirs']:5.2f} s   mimctl {median['ours']:5.2f} s, {median['verify']:.2f} s of it "
        f"verifying   difference {more:+.2f} s (allowed {ALLOWED_S} s): {verdict}",
        flush=True,
    )


OPENCV = "opencv-python-headless"
"""What mimctl adds by a rule where no cv2 is there; the installers are told."""


def no_op(place: Path, template: Path, address: str, runs: int) -> None:
    """Print what an installation costs that finds everything there, from within its own environment."""
    variables = environment(place, address)
    del variables["PYTHONPATH"]
    python = fresh(template, place / "venv")
    first = [sys.executable, "-m", "mimctl", "install", "det", "--yes", "-q", "--python", str(python)]
    seconds(first, {**variables, "PYTHONPATH": str(ROOT)}, place)
    # The environment's own mimctl is the one of WHEELS; its code is this clone's.
    line = [str(python), "-m", "mimctl", "install", "det"]
    variables["MIMCTL_INDEX_URL"] = "http://127.0.0.1:9/"  # nobody listens: decided without network
    bare, ours = [], []
    for _ in range(runs):
        bare.append(cpu_seconds([str(python), "-c", "pass"], variables, place))
        ours.append(cpu_seconds(line, variables, place))
    ratio = statistics.median(ours) / statistics.median(bare)
    verdict = "ok" if ratio <= NO_OP_BUDGET else "MISSED"
    print(
        f"nothing to do: {1000 * statistics.median(ours):.0f} ms of CPU time with all children, "
        f"{ratio:.1f}x `python -c pass` (budget {NO_OP_BUDGET}x): {verdict}"
    )


def fresh(template: Path, folder: Path) -> Path:
    """Return the interpreter of a new copy of an environment."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(template, folder, symlinks=True)
    os.sync()  # else whoever flushes first, as a transaction's journal does, also waits for this copy
    return folder / "bin" / "python"


def seconds(line: list[str], variables: dict[str, str], folder: Path) -> float:
    """Return the wall time of a process that has to succeed."""
    return _timed(line, variables, folder, time.perf_counter)


def cpu_seconds(line: list[str], variables: dict[str, str], folder: Path) -> float:
    """Return user and system time of a process and of all that it has started."""
    return _timed(line, variables, folder, lambda: sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2]))


def _timed(line: list[str], variables: dict[str, str], folder: Path, clock: Callable[[], float]) -> float:
    began = clock()
    done = subprocess.run(line, env=variables, cwd=folder, capture_output=True, text=True)
    took = clock() - began
    if done.returncode:
        sys.exit(f"{' '.join(line)} exited {done.returncode}\n{done.stdout}{done.stderr}")
    return took


if __name__ == "__main__":
    main()

"""Choosing one wheel out of a large index: from our index.json (fields parsed there) and from plain project pages.

python tests/bench/selection.py [FILES …]     default: 10000 30000 100000

The peer is the loop that any installer has to run over a page: packaging's own `parse_wheel_filename` on each name, in
the same process. Time is CPU time, the best of five; growth is that of the time for one file, first to last size.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from made_environment import make_env
from packaging.utils import parse_wheel_filename

from mimctl.environment.model import Environment
from mimctl.index.model import Build, IndexFile
from mimctl.index.pages import parse_page
from mimctl.selection.choose import choose

TAGS = [f"py3-none-manylinux_2_{glibc}_{machine}" for glibc in (17, 28, 34) for machine in ("x86_64", "aarch64")]
BACKENDS = {"cpu": None, "cu12": "525.60.13", "cu13": "580"}
PYTHONS = ("cp311-cp311", "cp312-cp312", "cp313-cp313", "cp314-cp314", "cp314-cp314t")
PLATFORMS = (
    "manylinux_2_27_x86_64.manylinux_2_28_x86_64",
    "manylinux_2_27_aarch64.manylinux_2_28_aarch64",
    "musllinux_1_2_x86_64",
    "macosx_14_0_arm64",
    "win_amd64",
)
ENVIRONMENTS = {
    "a GPU": {"torch": "2.13.0+cu130", "driver": "580.65.06", "gpus": ("9.0",)},
    "no GPU": {},
    "nothing fits": {"torch": "2.9.1+cpu"},
}


def versions(count: int) -> list[str]:
    """Return that many versions, older ones first."""
    return [f"{number // 1000}.{number // 20 % 50}.{number % 20}" for number in range(count)]


def own_files(count: int) -> list[IndexFile]:
    """Return files of an index of ours, each with a build of its own, as `parse_index` makes them."""
    files: list[IndexFile] = []
    for version in versions(count // 21 + 1):
        shapes = [(f"{version}+{backend}", tag, backend) for tag in TAGS for backend in BACKENDS]
        for labelled, tag, backend in [*shapes, (version, "py3-none-any", "python")]:
            filename = f"mimctl_ops-{labelled}-{tag}.whl"
            files.append(
                IndexFile(
                    project="mimctl-ops",
                    filename=filename,
                    url=f"https://index.example/files/{filename}",
                    sha256=_hash(filename),
                    size=355_000,
                    version=labelled,
                    tags=(tag,),
                    requires_python=">=3.11",
                    requires_dist=("torch>=2.10",),
                    build=Build(
                        backend=backend,
                        min_torch="2.10",
                        min_driver=BACKENDS.get(backend),
                        archs=("7.5", "8.0", "8.6", "9.0") if backend != "cpu" else (),
                        ptx=("9.0",) if backend != "cpu" else (),
                    ),
                    address="https://index.example",
                )
            )
    return files[:count]


def names(count: int) -> list[str]:
    """Return names of wheels as a project with compiled code has them."""
    found = [
        f"numpy-{version}-{python}-{platform}.whl"
        for version in versions(count // 25 + 1)
        for python in PYTHONS
        for platform in PLATFORMS
    ]
    return found[:count]


def html_page(wheels: list[str]) -> bytes:
    """Return a project page in HTML (PEP 503) with hashes and Requires-Python."""
    lines = (
        f'<a href="https://files.example/packages/{name.replace("+", "%2B")}#sha256={_hash(name)}" '
        f'data-requires-python="&gt;=3.11" data-core-metadata="sha256={_hash(name)}">{name}</a><br/>'
        for name in wheels
    )
    return ("<!DOCTYPE html><html><body>\n" + "\n".join(lines) + "\n</body></html>").encode()


def json_page(wheels: list[str]) -> bytes:
    """Return a project page in JSON (PEP 691)."""
    files = [
        {
            "filename": name,
            "url": f"https://files.example/packages/{name}",
            "hashes": {"sha256": _hash(name)},
            "requires-python": ">=3.11",
            "size": 1000,
            "core-metadata": {"sha256": _hash(name)},
            "yanked": False,
        }
        for name in wheels
    ]
    return json.dumps({"meta": {"api-version": "1.1"}, "name": "numpy", "files": files, "versions": []}).encode()


def choose_from_page(page: bytes, env: Environment) -> str | None:
    """Parse a page and choose."""
    found = parse_page(page, project="numpy", url="https://i.example/simple/numpy/", address="https://i.example/simple")
    return _name(choose(env, found.files).chosen)


def choose_with_trace(files: list[IndexFile], env: Environment) -> str | None:
    """Choose, and read the decision on every candidate."""
    selection = choose(env, files)
    assert sum(1 for _ in selection.decisions) == len(files)
    return _name(selection.chosen)


def peer(wheels: list[str]) -> str | None:
    """Take every name apart with packaging, and nothing else."""
    for name in wheels:
        parse_wheel_filename(name)
    return None


def best_s(run: Callable[[], object], times: int = 5) -> float:
    """Return the least CPU time of several runs in s."""
    taken = []
    for _ in range(times):
        start = time.process_time()
        run()
        taken.append(time.process_time() - start)
    return min(taken)


def main() -> None:
    """Print a line per case: the time at each size, the ratio to the peer at the last, and how time a file grows."""
    sizes = [int(each) for each in sys.argv[1:]] or [10_000, 30_000, 100_000]
    rows: dict[str, list[float]] = {}
    for size in sizes:
        files, wheels = own_files(size), names(size)
        cases: dict[str, Callable[[], object]] = {"packaging: parse_wheel_filename (peer)": lambda w=wheels: peer(w)}
        for name, facts in ENVIRONMENTS.items():
            env = make_env(**facts)
            cases[f"index.json, {name}"] = lambda f=files, e=env: choose(e, f)
            cases[f"index.json, {name}, with the trace"] = lambda f=files, e=env: choose_with_trace(f, e)
        env = make_env()
        html, data = html_page(wheels), json_page(wheels)
        cases["HTML page, parsed"] = lambda p=html, e=env: choose_from_page(p, e)
        cases["JSON page, parsed"] = lambda p=data, e=env: choose_from_page(p, e)
        for name, run in cases.items():
            rows.setdefault(name, []).append(best_s(run))
    print(f"{'CPU time in s for files:':38}" + "".join(f"{size:>10,}" for size in sizes) + "   to peer  growth")
    at_last = rows["packaging: parse_wheel_filename (peer)"][-1]
    for name, taken in rows.items():
        growth = (taken[-1] / sizes[-1]) / (taken[0] / sizes[0])
        words = "linear" if growth < sizes[-1] / sizes[0] / 4 else "worse than linear"  # quadratic: last / first size
        print(
            f"{name:38}"
            + "".join(f"{each:10.3f}" for each in taken)
            + f"  {taken[-1] / at_last:7.2f}x  {growth:.2f} {words}"
        )


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _name(file: IndexFile | None) -> str | None:
    return file.filename if file else None


if __name__ == "__main__":
    main()

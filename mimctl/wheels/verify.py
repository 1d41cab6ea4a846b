"""Installs a built wheel beside one torch in one Python after the other, and runs the project's tests with it."""

from __future__ import annotations

import json
import platform
import re
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from mimctl.errors import MimctlError
from mimctl.wheels.build_environment import (
    Recipe,
    Report,
    Source,
    child_environment,
    cpu_torch,
    ensure,
    exclusive,
    is_ready,
    place_of,
)
from mimctl.wheels.interpreters import find_interpreter
from mimctl.wheels.matrix import Matrix, VerifyCell
from mimctl.wheels.wheelfile import WheelFacts, read_wheel

Outcome = Literal["passed", "failed", "skipped"]

_TEST_TOOLS = ("pytest>=8", "hypothesis>=6.100")
_SETTINGS = "[pytest]\nmarkers =\n    slow: takes minutes\n"
_TIMEOUT_S = 3600
_KEPT_LINES = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """What came of one cell."""

    cell: str
    outcome: Outcome
    reason: str | None = None
    """Why it was skipped, or how it failed."""
    wheel: Path | None = None
    sha256: str | None = None
    """Of the wheel file that was installed."""
    python: str | None = None
    """Full version."""
    torch: str | None = None
    """The version that was there, with its build: "2.13.0+cpu"."""
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    seconds: float = 0.0
    lines: tuple[str, ...] = ()
    """The end of what the tests printed, where they failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyPlace:
    """Where wheels and environments are, and what to tell."""

    wheels: Path
    cache_dir: Path
    torch_index: str
    report: Report = lambda _: None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ready:
    """A cell that can be verified here."""

    cell: VerifyCell
    wheel: Path
    facts: WheelFacts
    recipe: Recipe


def verify_wheels(matrix: Matrix, names: Sequence[str] = (), *, place: VerifyPlace) -> tuple[Verified, ...]:
    """Verify the cells with these names, or of builds of these names; all that can be had cheaply where none is given.

    Without a name a cell is skipped, with the reason, where it is for another machine, where its wheel, its Python or a
    CPU build of its torch is not at hand; a named one gets its torch from wherever it is. Raises
    UsageError[wheels-cell] for unknown names, MimctlError[wheels-cell] where a named cell is not possible here and
    MimctlError[build-environment] where its environment cannot be made.
    """
    wheels = [(path, read_wheel(path)) for path in sorted(place.wheels.glob("*.whl"))]
    offers = _Offers()
    results = []
    for cell in matrix.select_verifies(names):
        found = _prepare(cell, wheels, place, offers, is_named=cell.name in names)
        if isinstance(found, _Ready):
            place.report(f"verifying {cell.name} with {found.wheel.name}")
            result = _verify(found, place)
        elif cell.name in names:
            raise MimctlError(f"`{cell.name}` cannot be verified here", code="wheels-cell", causes=[found])
        else:
            result = Verified(cell=cell.name, outcome="skipped", reason=found)
        results.append(result)
    return tuple(results)


def summarise_skipped(results: Iterable[Verified]) -> list[str]:
    """Return one line for each reason that cells were skipped for: a matrix has a hundred of them."""
    cells: dict[str, list[str]] = {}
    for each in results:
        if each.outcome == "skipped":
            cells.setdefault(each.reason or "", []).append(each.cell)
    lines = []
    for reason, names in cells.items():
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        lines.append(f"skipped {names[0]}{more}: {reason}")
    return lines


def _prepare(
    cell: VerifyCell,
    wheels: Iterable[tuple[Path, WheelFacts]],
    place: VerifyPlace,
    offers: _Offers,
    *,
    is_named: bool,
) -> _Ready | str:
    """Return what a cell needs, or the reason why it cannot be verified here."""
    machine = platform.machine()
    if cell.platform != "any" and not cell.platform.endswith(f"_{machine}"):
        return f"it is for {cell.platform}, this machine is {machine}"
    found = _newest((path, facts) for path, facts in wheels if _is_of(facts, cell, machine))
    if found is None:
        return f"there is no wheel of {cell.build} in {place.wheels}"
    path, facts = found
    if not any((cell.source / "tests").glob("test_*.py")):
        return f"{cell.project} has no tests"
    if cell.torch_build != "cpu" and not is_named:
        return "it is for a GPU and a build of torch for CUDA: name it to verify it"
    interpreter = find_interpreter(cell.python)
    if interpreter is None:
        return f"there is no Python {cell.python} on this machine"
    sources = _torch_sources(cell, place.torch_index)
    requirements = (*tools_of_tests(cell.source), *_requirements(facts))
    recipe = Recipe(purpose="verify-envs", requirements=requirements, torch=sources, interpreter=interpreter)
    at_hand = is_ready(place_of(recipe, cache_dir=place.cache_dir))
    if not (at_hand or is_named or offers.has(f"{cell.torch}+cpu", cell.python)):
        return "pip is offered no CPU build of its torch for its Python: name it to verify it with a larger download"
    return _Ready(cell=cell, wheel=path, facts=facts, recipe=recipe)


def _is_of(facts: WheelFacts, cell: VerifyCell, machine: str) -> bool:
    backend = facts.build["backend"] if facts.build else cell.backend
    fits = any(tag.endswith(("-any", f"_{machine}")) for tag in facts.tags)
    return facts.project == cell.project and backend == cell.backend and fits


def _newest(wheels: Iterable[tuple[Path, WheelFacts]]) -> tuple[Path, WheelFacts] | None:
    from packaging.version import Version

    return max(wheels, key=lambda each: Version(each[1].version), default=None)


def _torch_sources(cell: VerifyCell, torch_index: str) -> tuple[Source, ...]:
    """Return the ways to get a cell's torch; where a CPU build cannot be had, any build of that release serves."""
    plain = Source(requirement=f"torch=={cell.torch}")
    if cell.torch_build == "cpu":
        return (*cpu_torch(cell.torch, torch_index, with_dependencies=True), plain)
    labelled = f"torch=={cell.torch}+{cell.torch_build}"
    index = f"{torch_index.rstrip('/')}/{cell.torch_build}"
    return (Source(requirement=labelled), Source(requirement=f"torch=={cell.torch}", index=index), plain)


def tools_of_tests(source: Path) -> tuple[str, ...]:
    """Return what a project's tests need: its dependency group `test` (PEP 735), pytest and hypothesis without one."""
    try:
        data = tomllib.loads((source / "pyproject.toml").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return _TEST_TOOLS
    group = data.get("dependency-groups", {}).get("test", ())
    return tuple(each for each in group if isinstance(each, str)) or _TEST_TOOLS


def _requirements(facts: WheelFacts) -> tuple[str, ...]:
    """Return what a wheel requires besides torch."""
    from packaging.requirements import Requirement

    found = [Requirement(text) for text in facts.requires_dist]
    return tuple(str(each) for each in found if each.name != "torch" and "extra" not in str(each.marker or ""))


class _Offers:
    """Asks pip, once for each Python, which versions of torch it is offered; downloads nothing."""

    def __init__(self) -> None:
        self._versions: dict[str, frozenset[str]] = {}

    def has(self, version: str, python: str) -> bool:
        if python not in self._versions:
            argv = [sys.executable, "-m", "pip", "index", "versions", "torch", "--python-version", python]
            argv += ["--only-binary", ":all:"]
            done = subprocess.run(argv, env=child_environment(), capture_output=True, text=True, errors="replace")
            found = re.search(r"^Available versions: (.*)$", done.stdout, re.MULTILINE)
            self._versions[python] = frozenset(found[1].split(", ")) if found else frozenset()
        return version in self._versions[python]


def _verify(ready: _Ready, place: VerifyPlace) -> Verified:
    python = ensure(ready.recipe, cache_dir=place.cache_dir, report=place.report)
    result = Verified(cell=ready.cell.name, outcome="failed", wheel=ready.wheel, sha256=ready.facts.sha256)
    with exclusive(python.parents[1] / "in-use.lock", place.report):
        _install(python, ready)
        result = _with_versions(result, python, ready)
        return result if result.reason else _run_tests(result, python, ready.cell)


def _install(python: Path, ready: _Ready) -> None:
    """Install the very file; what it requires is in the environment already."""
    argv = [str(python), "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--force-reinstall"]
    argv.append(str(ready.wheel.absolute()))
    done = subprocess.run(argv, env=child_environment(), capture_output=True, text=True, errors="replace")
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        raise MimctlError(
            f"`{ready.wheel.name}` cannot be installed for `{ready.cell.name}`",
            code="build-environment",
            causes=lines[-5:],
        )


_VERSIONS = """
import importlib.metadata as m, json, platform, sys
import torch
print(json.dumps([platform.python_version(), torch.__version__, torch.version.cuda, m.version(sys.argv[1])]))
"""


def _with_versions(result: Verified, python: Path, ready: _Ready) -> Verified:
    argv = [str(python), "-P", "-c", _VERSIONS, ready.cell.project]
    done = subprocess.run(argv, env=_test_environment(), capture_output=True, text=True, errors="replace")
    if done.returncode != 0:
        return replace(result, reason="torch cannot be imported", lines=tuple(done.stderr.splitlines()[-_KEPT_LINES:]))
    version, torch, cuda, installed = json.loads(done.stdout.splitlines()[-1])
    result = replace(result, python=version, torch=torch)
    wanted = ready.cell.torch_build
    if torch.partition("+")[0] != ready.cell.torch or installed != ready.facts.version:
        return replace(result, reason=f"torch {torch} and {ready.cell.project} {installed} were found after installing")
    if wanted != "cpu" and f"cu{(cuda or '').replace('.', '')}" != wanted:
        return replace(
            result, outcome="skipped", reason=f"torch {torch} is all that can be had, not its build {wanted}"
        )
    return result


def _run_tests(result: Verified, python: Path, cell: VerifyCell) -> Verified:
    """Run the project's tests with the installed package: nothing of the source tree but the tests can be imported."""
    tests = cell.source / "tests"
    with tempfile.TemporaryDirectory(prefix="mimctl-verify-") as folder:
        settings, document = Path(folder) / "pytest.ini", Path(folder) / "results.xml"
        settings.write_text(_SETTINGS, encoding="utf-8")
        argv = [str(python), "-P", "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "not slow"]
        argv += ["-c", str(settings), f"--rootdir={tests}", f"--confcutdir={tests}", "--import-mode=importlib"]
        argv += [f"--junitxml={document}", str(tests)]
        start = time.monotonic()
        try:
            done = subprocess.run(
                argv,
                env=_test_environment(),
                cwd=folder,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=_TIMEOUT_S,
            )
        except subprocess.TimeoutExpired:
            return replace(result, reason=f"the tests did not end within {_TIMEOUT_S} s")
        passed, failed, skipped = _counts(document)
    seconds = round(time.monotonic() - start, 1)
    result = replace(result, seconds=seconds, passed=passed, failed=failed, skipped=skipped)
    if done.returncode == 0 and result.passed:
        return replace(result, outcome="passed")
    lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    reason = f"{result.failed} tests failed" if result.failed else f"pytest ended with {done.returncode}"
    return replace(result, reason=reason, lines=tuple(lines[-_KEPT_LINES:]))


def _test_environment() -> dict[str, str]:
    environment = child_environment(PYTHONDONTWRITEBYTECODE="1")
    environment.pop("MIMCTL_OPS", None)  # the compiled library is what is verified
    environment.pop("PYTEST_ADDOPTS", None)
    return environment


def _counts(document: Path) -> tuple[int, int, int]:
    """Return how many tests passed, failed and were skipped, as pytest wrote it down."""
    from xml.etree import ElementTree

    try:
        suites = list(ElementTree.parse(document).getroot().iter("testsuite"))
    except (OSError, ElementTree.ParseError):
        return 0, 0, 0
    total, failures, errors, skipped = (
        sum(int(suite.get(key, "0")) for suite in suites) for key in ("tests", "failures", "errors", "skipped")
    )
    return total - failures - errors - skipped, failures + errors, skipped

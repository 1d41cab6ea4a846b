"""Builds wheels from the cells of a matrix: reproducibly, in a cached environment, with an honest platform tag."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mimctl.errors import MimctlError, UsageError
from mimctl.wheels.audit import audit_libraries, audit_wheel
from mimctl.wheels.build_environment import Report, child_environment, compile_environment, pure_environment
from mimctl.wheels.matrix import BuildCell, Matrix
from mimctl.wheels.toolchain import cuda_compiler, cuda_variables, find_nvcc, is_packaged
from mimctl.wheels.wheelfile import WheelFacts, read_wheel, rewrite, shared_libraries

EPOCH_WITHOUT_HISTORY = 315532800
"""1980-01-01, the oldest time a zip file can hold: the date of wheels built outside a git checkout."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltWheel:
    """A wheel that was built."""

    cell: str
    project: str
    version: str
    backend: str | None
    path: Path
    sha256: str
    size: int
    """Bytes."""
    note: str | None = None
    """What is different from what the matrix promises."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """A cell that this machine cannot build."""

    cell: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildReport:
    """What came of a request to build."""

    wheels: tuple[BuiltWheel, ...]
    skipped: tuple[Skipped, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildPlace:
    """Where to build and what to tell."""

    out_dir: Path
    cache_dir: Path
    torch_index: str
    jobs: int = 1
    report: Report = lambda _: None


def build_wheels(matrix: Matrix, names: Sequence[str] = (), *, place: BuildPlace) -> BuildReport:
    """Build the cells with these cell or project names (all where none is given) that this machine can build.

    A cell for another platform, or a compiled one where there is no C++ compiler, is skipped with a reason; where it
    was asked for by its own name that is an error. A CUDA cell is built only where it is named itself: its compiler is
    a large download, and it takes minutes. Raises UsageError[wheels-cell], MimctlError[no-compiler],
    MimctlError[wheel-build], MimctlError[wheel-audit], MimctlError[build-environment].
    """
    wheels: list[BuiltWheel] = []
    skipped = []
    for cell in matrix.select(names):
        reason = why_not(cell)
        if reason is not None and cell.name in names:
            raise _cannot(cell, reason)
        if reason is None and cell.name not in names:
            reason = why_not_unasked(cell)
        if reason is None:
            wheels.extend(build_cell(cell, place=place))
        else:
            skipped.append(Skipped(cell=cell.name, reason=reason))
            place.report(f"skipped {cell.name}: {reason}")
    return BuildReport(wheels=tuple(wheels), skipped=tuple(skipped))


def why_not(cell: BuildCell) -> str | None:
    """Return why this machine cannot build a cell, None where it can."""
    if not cell.is_compiled:
        return None
    if not cell.platform.endswith(f"_{platform.machine()}"):
        return f"it is for {cell.platform}, this machine is {platform.machine()}"
    if find_compiler() is None:
        return "no C++ compiler that works (looked for $CXX, c++, g++, clang++); the pure-PyTorch wheel serves instead"
    if cell.toolkit is not None and not is_packaged(cell.toolkit) and find_nvcc(cell.toolkit) is None:
        return f"it needs nvcc of the CUDA toolkit {cell.toolkit} (looked at $CUDACXX and on the PATH)"
    return None


def why_not_unasked(cell: BuildCell) -> str | None:
    """Return why a cell that this machine can build is left out unless it is named, None where it is not."""
    if cell.toolkit is None:
        return None
    if is_packaged(cell.toolkit):
        return "name it to build it (downloads a 114 MB toolchain, several CPU-minutes)"
    return "name it to build it (several CPU-minutes)"


def find_compiler() -> str | None:
    """Return the path of a C++ compiler that can compile a file with a standard header, or None."""
    for name in (os.environ.get("CXX"), "c++", "g++", "clang++"):
        path = shutil.which(name) if name else None
        if path is None:
            continue
        argv = [path, "-x", "c++", "-std=c++17", "-fsyntax-only", "-"]
        probe = subprocess.run(argv, input="#include <vector>\n", capture_output=True, text=True)
        if probe.returncode == 0:
            return path
    return None


def build_cell(cell: BuildCell, *, place: BuildPlace) -> tuple[BuiltWheel, ...]:
    """Build one cell's wheel into `place.out_dir`, once for each of its labels, replacing those of the same name."""
    if cell.torch_headers is not None:
        python = compile_environment(
            cell.torch_headers, cache_dir=place.cache_dir, torch_index=place.torch_index, report=place.report
        )
    else:
        python = pure_environment(cache_dir=place.cache_dir, report=place.report)
    nvcc = None
    if cell.toolkit is not None:
        nvcc = cuda_compiler(cell.toolkit, cache_dir=place.cache_dir, report=place.report)
    place.report(f"building {cell.name}")
    return build_with(python, cell, place=place, nvcc=nvcc)


def build_with(python: Path, cell: BuildCell, *, place: BuildPlace, nvcc: Path | None = None) -> tuple[BuiltWheel, ...]:
    """Build one cell's wheel with the build tools that `python` has, and `nvcc` for GPU code; audit what came of it."""
    place.out_dir.mkdir(parents=True, exist_ok=True)
    cuda = cuda_variables(cell, nvcc) if nvcc is not None else {}
    with tempfile.TemporaryDirectory(prefix="mimctl-wheel-") as folder:
        raw = _pip_wheel(python, cell, Path(folder), place.jobs, cuda)
        tag, note = _platform_tag(raw, cell) if cell.is_compiled else (None, None)
        done = Path(folder) / "done"
        done.mkdir()
        finished = [rewrite(raw, done, platform=tag, label=label) for label in cell.labels]
        for path in finished:
            _check(path, cell, build_places=[Path(folder), python.parents[1], cell.source])
        paths = [rewrite(path, place.out_dir) for path in finished]
    return tuple(_built(cell, path, note) for path in paths)


def _check(path: Path, cell: BuildCell, *, build_places: Sequence[Path]) -> None:
    """Refuse a wheel that would not load elsewhere, or that is not what its cell says."""
    facts = read_wheel(path)
    if facts.project != cell.project:
        raise _failed(cell, [f"{cell.source} builds {facts.project}, the matrix says {cell.project}"])
    audit_wheel(path, facts=facts, build_places=build_places)
    if wrong := list(_disagreements(facts, cell)):
        raise MimctlError(
            f"the wheel of `{cell.name}` is not what the matrix says",
            code="wheel-audit",
            causes=wrong,
            hints=["one of the two is wrong: wheels-matrix.yaml, or what the build writes into build.json"],
        )


def _disagreements(facts: WheelFacts, cell: BuildCell) -> Iterator[str]:
    if facts.build is None:
        return
    toolkit = facts.build.get("toolkit")
    pairs = [
        ("backend", facts.build.get("backend"), cell.backend),
        ("min_torch", facts.build.get("min_torch"), cell.target_torch),
        ("min_driver", facts.build.get("min_driver"), cell.min_driver),
        ("archs", sorted(facts.build.get("archs") or []), sorted(cell.archs)),
        ("ptx", sorted(facts.build.get("ptx") or []), sorted(cell.ptx)),
        ("toolkit", str(toolkit).partition(".")[0], str(cell.toolkit).partition(".")[0]),
    ]
    for key, found, wanted in pairs:
        if wanted is not None and found != wanted:
            yield f"its build.json says {key} {found or 'none'}, the matrix {wanted or 'none'}"


def _built(cell: BuildCell, path: Path, note: str | None) -> BuiltWheel:
    facts = read_wheel(path)
    return BuiltWheel(
        cell=cell.name,
        project=facts.project,
        version=facts.version,
        backend=cell.backend,
        path=path,
        sha256=facts.sha256,
        size=facts.size,
        note=note,
    )


def source_date_epoch(source: Path) -> int:
    """Return the date that goes into a wheel: $SOURCE_DATE_EPOCH, else the last commit's, else 1980."""
    given = os.environ.get("SOURCE_DATE_EPOCH", "")
    if given:
        if not given.isdigit():
            raise UsageError(f"SOURCE_DATE_EPOCH is `{given}`, not a number of seconds", code="usage")
        return int(given)
    if shutil.which("git"):
        done = subprocess.run(["git", "log", "-1", "--format=%ct"], cwd=source, capture_output=True, text=True)
        if done.returncode == 0 and done.stdout.strip().isdigit():
            return int(done.stdout)
    return EPOCH_WITHOUT_HISTORY


def _pip_wheel(python: Path, cell: BuildCell, folder: Path, jobs: int, cuda: Mapping[str, str]) -> Path:
    argv = [str(python), "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-cache-dir"]
    environment = child_environment(
        SOURCE_DATE_EPOCH=str(source_date_epoch(cell.source)),
        CMAKE_BUILD_PARALLEL_LEVEL=str(jobs),
        PATH=f"{python.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        **cuda,
        **cell.env,
    )
    argv += ["--wheel-dir", str(folder), str(cell.source)]
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, errors="replace")
    wheels = sorted(folder.glob("*.whl"))
    if done.returncode != 0 or len(wheels) != 1:
        lines = [line.rstrip() for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        raise _failed(cell, [f"pip wheel ended with {done.returncode}", *lines[-20:]])
    return wheels[0]


def _platform_tag(wheel: Path, cell: BuildCell) -> tuple[str, str | None]:
    """Return the tag that the wheel's libraries allow, and a note where it is newer than the cell promises."""
    libraries = shared_libraries(wheel)
    if not libraries:
        raise _failed(cell, ["the wheel holds no compiled library"])
    audit = audit_libraries(libraries)
    machine = platform.machine()
    tag = f"manylinux_{audit.glibc.replace('.', '_')}_{machine}"
    promised = tuple(map(int, cell.platform.removeprefix("manylinux_").removesuffix(f"_{machine}").split("_")))
    if tuple(map(int, audit.glibc.split("."))) <= promised:
        return cell.platform, None
    return tag, f"runs on glibc >= {audit.glibc} only, the matrix promises {cell.platform}"


def _failed(cell: BuildCell, causes: list[str]) -> MimctlError:
    return MimctlError(f"cannot build the wheel of `{cell.name}`", code="wheel-build", causes=causes)


def _cannot(cell: BuildCell, reason: str) -> MimctlError:
    code = "no-compiler" if "C++ compiler" in reason else "wheels-cell"
    hint = "install one: `apt install g++`" if code == "no-compiler" else "all cells: `mimctl wheels matrix build`"
    return MimctlError(f"this machine cannot build `{cell.name}`", code=code, causes=[reason], hints=[hint])

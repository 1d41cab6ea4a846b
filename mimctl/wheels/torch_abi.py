"""Asks torch-abi-audit, in an environment of its own, for the oldest torch that a wheel's libraries load into."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from mimctl.errors import MimctlError
from mimctl.wheels.audit import AuditReport
from mimctl.wheels.build_environment import Recipe, Report, child_environment, ensure
from mimctl.wheels.wheelfile import shared_libraries

TOOL = "torch-abi-audit==0.3.0"
_WITHOUT = "or leave this part out: `mimctl wheels audit --no-torch-abi`"


@dataclass(frozen=True, slots=True, kw_only=True)
class TorchAbi:
    """What torch-abi-audit says of a wheel."""

    tool: str
    min_torch: str | None
    """The oldest torch that has every function called; None where no library calls torch."""
    defining: tuple[str, ...]
    """Functions that came with that torch."""


def torch_abi(path: Path, report: AuditReport, *, cache_dir: Path, note: Report) -> TorchAbi:
    """Judge the libraries of a wheel that `audit_wheel` described; the two must agree on what they call.

    Raises MimctlError[wheel-audit] where a library leaves torch's stable ABI or calls what came after the torch that
    the wheel names, MimctlError[build-environment] where torch-abi-audit cannot be had or does not work here.
    """
    if not report.libraries:
        return TorchAbi(tool=TOOL, min_torch=None, defining=())
    verdicts = _verdicts(path, cache_dir, note)
    causes = list(_faults(report, verdicts))
    found = [each for each in verdicts.values() if each.get("min_torch_version")]
    newest = max(found, key=lambda each: _release(each["min_torch_version"]), default=None)
    oldest = str(newest["min_torch_version"]) if newest else None
    defining = tuple(newest["version_defining_symbols"]) if newest else ()
    if oldest and report.min_torch and _release(oldest) > _release(report.min_torch):
        first = ", ".join(defining[:3])
        causes.append(f"its build.json says torch >= {report.min_torch}, but torch {oldest} is the first with {first}")
    if causes:
        raise MimctlError(
            f"`{path.name}` would not load into every torch that it names",
            code="wheel-audit",
            causes=causes,
            hints=["compile with TORCH_TARGET_VERSION of the oldest torch: docs/how-to/add-an-op.md"],
        )
    return TorchAbi(tool=TOOL, min_torch=oldest, defining=defining)


def _verdicts(path: Path, cache_dir: Path, note: Report) -> dict[str, Mapping[str, Any]]:
    """Return what the tool says of torch, for each library by its name in the wheel."""
    python = _environment(cache_dir, note)
    with tempfile.TemporaryDirectory(prefix="mimctl-audit-") as folder:
        root = Path(folder) / "wheel"
        for name, data in shared_libraries(path):
            target = root / PurePosixPath(name)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
        argv = [str(python.parent / "torch-abi-audit"), "--json", str(root)]
        try:
            done = subprocess.run(argv, env=child_environment(), capture_output=True, text=True, errors="replace")
        except OSError as err:
            raise _unusable([str(err)]) from err
        try:
            document = json.loads(done.stdout)
            rows = [*document["extensions"], *document["bundled_libs"]]
            wrong = [f"{row['path']}: {row['error']}" for row in rows if row["error"]]
            verdicts = {str(Path(row["path"]).resolve().relative_to(root.resolve())): row["torch"] for row in rows}
        except (ValueError, KeyError, TypeError) as err:
            lines = [line for line in done.stderr.splitlines() if line.strip()]
            raise _unusable([f"it ended with {done.returncode}", *lines[-5:]]) from err
    if wrong or done.returncode != 0:
        raise _unusable(wrong or [f"it ended with {done.returncode}", *done.stderr.splitlines()[-5:]])
    return verdicts


def _environment(cache_dir: Path, note: Report) -> Path:
    try:
        return ensure(Recipe(purpose="audit-envs", requirements=(TOOL,)), cache_dir=cache_dir, report=note)
    except MimctlError as err:
        raise MimctlError(
            "torch-abi-audit is needed for the oldest torch, and cannot be installed",
            code=err.code,
            causes=err.causes,
            hints=[*err.hints, _WITHOUT],
        ) from err


def _unusable(causes: list[str]) -> MimctlError:
    hints = ["it reads symbols with `nm`: `apt install binutils`", _WITHOUT]
    return MimctlError("torch-abi-audit does not work here", code="build-environment", causes=causes, hints=hints)


def _faults(report: AuditReport, verdicts: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    for library in report.libraries:
        verdict = verdicts.get(library.name)
        if verdict is None:
            yield f"torch-abi-audit does not see {library.name}"
            continue
        if verdict["unstable_symbols"]:
            yield f"{library.name} needs the unstable symbol {verdict['unstable_symbols'][0]}"
        if verdict["unknown_shim_symbols"]:
            yield f"{library.name} calls {verdict['unknown_shim_symbols'][0]}, which is in no torch that is known"
        if verdict["stable_shim_count"] != len(library.torch_symbols):
            ours, theirs = len(library.torch_symbols), verdict["stable_shim_count"]
            yield f"{library.name} calls {ours} functions of torch, torch-abi-audit sees {theirs}"


def _release(version: str) -> tuple[int, ...]:
    numbers = [int(part) for part in version.split(".") if part.isdigit()]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)

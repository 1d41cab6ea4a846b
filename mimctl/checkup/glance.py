"""What can be told from names and small files alone: cheap enough for `mimctl list`; `doctor` tells it too.

Every rule is a pure function; nothing is imported, no process is started.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mimctl.environment.distributions import scan, wheel_tags
from mimctl.environment.installed import Distribution, Ops, Torch
from mimctl.environment.ops import find_ops, judge_tier
from mimctl.environment.torch import find_torch
from mimctl.installer.record import Record, read_record
from mimctl.resolution.names import CV2_NAMES, PREFIX, is_own

OPS = "mimctl-ops"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is wrong, and what to type."""

    name: str
    """The distribution that it is about."""
    summary: str
    hint: str
    code: str


def glance(search: Sequence[Path], *, environ: Mapping[str, str], machine: str) -> tuple[Finding, ...]:
    """Return what is wrong with the distributions on a module search path, as far as their files tell."""
    there = scan(search)
    torch = find_torch(search, there.get("torch")).value
    ops = find_ops(search, there.get(OPS), environ).value
    return (
        *_on_operators(ops, torch, there.get(OPS), machine),
        *_on_versions(there),
        *_on_torch(read_record(search), torch, there),
        *_on_opencv(there),
    )


def _on_operators(ops: Ops | None, torch: Torch | None, there: Distribution | None, machine: str) -> Iterator[Finding]:
    if ops is None:
        return
    tier = judge_tier(ops, torch)
    reason = other_platform(wheel_tags(there), machine) or (tier.source if tier.value == "failed" else None)
    words = f"{there.name} {there.version}" if there else OPS
    if reason is not None and torch is not None:
        hint = "bring the build that fits: `mimctl install mimctl-ops`"
        yield Finding(name=OPS, summary=f"{words} cannot be loaded: {reason}", hint=hint, code="ops-cannot-load")
        return
    other = other_cuda(ops, torch)
    if other is not None:
        hint = "see what fits: `mimctl doctor`"
        yield Finding(name=OPS, summary=f"{words} is {other}", hint=hint, code="ops-build")


def _on_versions(there: Mapping[str, Distribution]) -> Iterator[Finding]:
    engine = there.get(PREFIX)
    for each in other_versions(there):
        assert engine is not None
        summary = f"{each.name} {each.version} is not of the engine's version, mimctl {engine.version}"
        hint = "bring all to one: `mimctl upgrade --all`"
        yield Finding(name=each.name, summary=summary, hint=hint, code="version-mismatch")


def _on_torch(record: Record | None, torch: Torch | None, there: Mapping[str, Distribution]) -> Iterator[Finding]:
    since = torch_since(record, torch, there)
    if since is not None:
        hint = "see whether all goes with it: `mimctl doctor`"
        yield Finding(name="torch", summary=since, hint=hint, code="torch-replaced")


def _on_opencv(there: Mapping[str, Distribution]) -> Iterator[Finding]:
    found = sorted(CV2_NAMES & there.keys())
    if len(found) > 1:
        summary = f"OpenCV is installed {len(found)} times: {', '.join(found)}"
        yield Finding(name=found[0], summary=summary, hint="keep one: `mimctl doctor --fix`", code="opencv")


def other_versions(there: Mapping[str, Distribution]) -> tuple[Distribution, ...]:
    """Return those of our distributions that are of another version than the engine, whatever their labels."""
    engine = there.get(PREFIX)
    if engine is None:
        return ()
    return tuple(
        each
        for name, each in sorted(there.items())
        if is_own(name) and each.version.partition("+")[0] != engine.version.partition("+")[0]
    )


def torch_since(record: Record | None, torch: Torch | None, there: Mapping[str, Distribution]) -> str | None:
    """Return how torch has changed since mimctl installed what is still there, None where it has not."""
    if record is None or torch is None or record.torch == torch.version:
        return None
    kept = [f"{name} {version}" for name, version in record.distributions.items() if _is_there(there, name, version)]
    return f"torch is {torch.version} now, it was {record.torch} when {', '.join(kept)} came" if kept else None


def _is_there(there: Mapping[str, Distribution], name: str, version: str) -> bool:
    return name in there and there[name].version == version


def other_platform(tags: Iterable[str], machine: str) -> str | None:
    """Return for what machine a wheel was built where that is not `machine` (`x86_64`), None where it is or is any."""
    platforms = [tag.rpartition("-")[2] for tag in tags]
    if not platforms or any(each == "any" or _is_for(each, machine) for each in platforms):
        return None
    return f"its wheel is for {', '.join(sorted(set(platforms)))}, this machine is {machine}"


def _is_for(platform: str, machine: str) -> bool:
    names = {"arm64": ("arm64", "aarch64", "universal2"), "amd64": ("amd64", "x86_64")}
    known = names.get(machine.lower(), (machine.lower(),))
    return platform.lower().endswith((*known, "universal2"))


def other_cuda(ops: Ops, torch: Torch | None) -> str | None:
    """Return for which CUDA major the operators were built where torch is for another one, None otherwise."""
    major = (ops.backend or "").removeprefix("cu")
    if torch is None or torch.cuda_major is None or not major.isdigit() or int(major) == torch.cuda_major:
        return None
    return f"built for CUDA {major}, torch {torch.version} for CUDA {torch.cuda}"

"""The installed mimctl-ops and what of it would serve, read from its files: neither it nor torch is imported."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from mimctl.environment.installed import Distribution, Fact, Ops, OpsTier, Torch, release_of

OPS_VARIABLE = "MIMCTL_OPS"
"""`python` asks for pure PyTorch though a compiled library is installed."""
_PACKAGE = "mimctl_ops"
_LIBRARY = "_mimctl_ops.so"


def find_ops(search: Iterable[Path], distribution: Distribution | None, environ: Mapping[str, str]) -> Fact[Ops | None]:
    """Return the mimctl-ops that `import mimctl_ops` would find in `search`."""
    for folder in search:
        package = folder / _PACKAGE
        if (package / "__init__.py").is_file() or (package / "build.json").is_file():
            return Fact(value=_read(package, distribution, environ), source=str(package / "build.json"))
    if distribution is not None:
        return Fact(value=None, source=f"{distribution.path} names it, its package is not there")
    return Fact(value=None, source="no mimctl_ops on the module search path")


def judge_tier(ops: Ops | None, torch: Torch | None) -> Fact[OpsTier | None]:
    """Return what would serve an operator, with the fact that decides for its source; pure.

    Nothing is loaded: a library that lacks a symbol is told by `mimctl doctor` alone.
    """
    if ops is None:
        return Fact(value=None, source="mimctl-ops is not installed")
    if ops.asked not in (None, "python"):
        return Fact(value="failed", source=f"{OPS_VARIABLE} is `{ops.asked}`; only `python` means anything there")
    if torch is None:
        return Fact(value="failed", source="torch is not installed")
    if ops.backend is None:
        return Fact(value="failed", source=f"{ops.path / 'build.json'} cannot be read")
    unfit = _unfit(ops, torch)
    if ops.backend == "python":
        return Fact(value="failed", source=unfit) if unfit else Fact(value="python", source="the build has no library")
    if ops.asked == "python":
        return Fact(value="python", source=OPS_VARIABLE)
    if ops.library is None:
        return Fact(value="failed", source=f"{ops.path / _LIBRARY} is missing")
    if unfit:
        return Fact(value="failed", source=unfit)
    needed = f" >= {ops.min_torch}" if ops.min_torch else ""
    return Fact(value="compiled", source=f"torch {torch.version}{needed}, {_LIBRARY} is there")


def _unfit(ops: Ops, torch: Torch) -> str | None:
    if ops.min_torch and torch.release < release_of(ops.min_torch):
        return f"needs torch >= {ops.min_torch}, found {torch.version}"
    newest = release_of(ops.max_torch or "")
    if newest and torch.release[: len(newest)] > newest:
        return f"works up to torch {ops.max_torch}, found {torch.version}"
    return None


def _read(package: Path, distribution: Distribution | None, environ: Mapping[str, str]) -> Ops:
    facts = _build_facts(package / "build.json")
    library = package / _LIBRARY
    return Ops(
        version=distribution.version if distribution else None,
        path=package,
        backend=_text(facts, "backend"),
        toolkit=_text(facts, "toolkit"),
        min_torch=_text(facts, "min_torch"),
        max_torch=_text(facts, "max_torch"),
        min_driver=_text(facts, "min_driver"),
        archs=_texts(facts, "archs"),
        ptx=_texts(facts, "ptx"),
        library=library if library.is_file() else None,
        asked=environ.get(OPS_VARIABLE) or None,
    )


def _build_facts(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return data if isinstance(data, dict) else {}


def _text(facts: Mapping[str, Any], key: str) -> str | None:
    value = facts.get(key)
    return value if isinstance(value, str) and value else None


def _texts(facts: Mapping[str, Any], key: str) -> tuple[str, ...]:
    value = facts.get(key)
    return tuple(each for each in value if isinstance(each, str)) if isinstance(value, list) else ()

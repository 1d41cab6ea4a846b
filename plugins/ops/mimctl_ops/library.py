"""Loads the compiled library beside this file, and remembers which tier serves: compiled, pure PyTorch, or none."""

from __future__ import annotations

import functools
import importlib.metadata
import json
import os
import platform
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch

_HERE = Path(__file__).resolve().parent
_LIBRARY = _HERE / "_mimctl_ops.so"

Tier = Literal["compiled", "python", "failed"]


class OpsLoadError(RuntimeError):
    """An operator was called, and the compiled library that is installed cannot be loaded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """Which operators serve, and what they were built with."""

    tier: Tier
    """compiled; python (pure PyTorch, because this build has no library or $MIMCTL_OPS asks for it); or failed: a
    library is installed, cannot be loaded, and every call of an operator raises OpsLoadError."""
    backend: str
    """What was built: "cpu", "cu12", "cu13" or "python" (no compiled library)."""
    cuda: str | None
    """The CUDA toolkit that the CUDA half was compiled with, "13.0"; None where there is none."""
    version: str | None
    """Of the distribution; None where the package lies on the path without one."""
    library: str | None
    ops: tuple[str, ...]
    min_torch: str
    """The oldest torch this build works with."""
    torch: str
    """The torch that is installed."""
    torch_headers: str | None
    """The torch whose headers it was compiled against (its ABI is that of `min_torch`)."""
    compiler: str | None
    archs: tuple[str, ...]
    """Compute capabilities with machine code, "9.0"."""
    ptx: tuple[str, ...]
    min_driver: str | None
    error: str | None
    """Why the library cannot be loaded, naming the missing file or symbol."""
    hint: str | None
    """What would mend it: the wheel that fits."""


@functools.cache
def status() -> Status:
    """Return which tier serves and what it was compiled with; never raises for a library that cannot be loaded."""
    facts = _build_facts()
    is_compiled = facts["backend"] != "python" and os.environ.get("MIMCTL_OPS") != "python"
    error = _wrong_wish() or (_load_library(facts) if is_compiled else None)
    tier: Tier = "failed" if error else "compiled" if is_compiled else "python"
    return Status(
        tier=tier,
        backend=facts["backend"],
        cuda=facts["toolkit"],
        version=_version(),
        library=str(_LIBRARY) if _LIBRARY.exists() else None,
        ops=tuple(facts["ops"]),
        min_torch=facts["min_torch"],
        torch=str(torch.__version__),
        torch_headers=facts["torch_headers"],
        compiler=facts["compiler"],
        archs=tuple(facts["archs"]),
        ptx=tuple(facts["ptx"]),
        min_driver=facts["min_driver"],
        error=error,
        hint=None if error is None else _hint(error, facts),
    )


def load_error() -> OpsLoadError:
    """Return the error that a call of an operator raises while the tier is `failed`."""
    found = status()
    return OpsLoadError(
        f"the operators of mimctl-ops {found.version or ''} ({found.backend}) cannot be used\n"
        f"  cause: {found.error}\n"
        f"         this build needs torch >= {found.min_torch}; torch {found.torch} is installed\n"
        f"  hint: {found.hint}"
    )


def _build_facts() -> dict[str, Any]:
    facts: dict[str, Any] = json.loads((_HERE / "build.json").read_text(encoding="utf-8"))
    return facts


def _wrong_wish() -> str | None:
    wish = os.environ.get("MIMCTL_OPS", "")
    return None if wish in ("", "python") else f"MIMCTL_OPS is `{wish}`; only `python` means anything there"


def _load_library(facts: dict[str, Any]) -> str | None:
    if _release(str(torch.__version__)) < _release(facts["min_torch"]):
        return f"torch {torch.__version__} is older than {facts['min_torch']}, whose ABI the library uses"
    if not _LIBRARY.exists():
        return f"the library `{_LIBRARY.name}` of this {facts['backend']} build is missing from {_HERE}"
    try:
        torch.ops.load_library(_LIBRARY)
    except (OSError, RuntimeError) as err:
        return _explain(str(err.__cause__ or err))
    return None


def _explain(reason: str) -> str:
    """Return the loader's reason with the missing library or symbol first."""
    if found := re.search(r"undefined symbol: (\S+)", reason):
        return f"the symbol `{found[1].rstrip(',')}` is missing from the installed torch"
    if found := re.search(r"(\S+): cannot open shared object file", reason):
        return f"the library `{found[1]}` is missing"
    if found := re.search(r"version `(\S+)' not found", reason):
        return f"the symbol version `{found[1]}` is missing from this system"
    return reason


def _hint(error: str, facts: dict[str, Any]) -> str:
    if error.startswith("MIMCTL_OPS"):
        return "unset MIMCTL_OPS, or set it to `python` for pure PyTorch"
    wheel = _fitting_wheel(facts)
    return f"install {wheel}: `mimctl install mimctl-ops`; or set MIMCTL_OPS=python for slower pure PyTorch"


def _fitting_wheel(facts: dict[str, Any]) -> str:
    """Return the name of the wheel that fits this torch, platform and CUDA: the pure one where no build can load."""
    version = (_version() or "").partition("+")[0] or "VERSION"
    cuda = torch.version.cuda
    label = "rocm" if torch.version.hip else f"cu{cuda.partition('.')[0]}" if cuda else "cpu"
    too_old = _release(str(torch.__version__)) < _release(facts["min_torch"])
    if too_old or label == "rocm" or platform.system() != "Linux":
        return f"mimctl_ops-{version}-py3-none-any.whl"
    return f"mimctl_ops-{version}+{label}-py3-none-manylinux_*_{platform.machine()}.whl"


def _version() -> str | None:
    try:
        return importlib.metadata.version("mimctl-ops")
    except importlib.metadata.PackageNotFoundError:
        return None


def _release(version: str) -> tuple[int, ...]:
    found = re.match(r"\d+(?:\.\d+)*", version)
    return tuple(map(int, found[0].split(".")))[:2] if found else ()

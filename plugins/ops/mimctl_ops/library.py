"""Loads the compiled library beside this file, or registers the pure-PyTorch operators, and remembers which it was."""

from __future__ import annotations

import functools
import json
import re
import warnings
from dataclasses import dataclass
from pathlib import Path

import torch

from mimctl_ops import reference

_HERE = Path(__file__).resolve().parent
_LIBRARY = _HERE / "_mimctl_ops.so"
_SCHEMAS = {"nms": "nms(Tensor boxes, Tensor scores, float iou_threshold) -> Tensor"}


class OpsLoadWarning(UserWarning):
    """The compiled operators are installed but could not be loaded; pure PyTorch serves in their place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildInfo:
    """What this build of the operators is, and whether its compiled library is in use."""

    backend: str
    """What was built: "cpu", "cu13", … or "python" (no compiled library)."""
    loaded: bool
    """Whether compiled operators are in use."""
    load_error: str | None
    """Why a library that is present could not be loaded, naming the missing file or symbol."""
    library: Path | None
    ops: tuple[str, ...]
    min_torch: str
    """The oldest torch this build works with."""
    torch_headers: str | None
    """The torch whose headers it was compiled against (its ABI is that of `min_torch`)."""
    compiler: str | None
    toolkit: str | None
    archs: tuple[str, ...]


@functools.cache
def build_info() -> BuildInfo:
    """Return what the operators were compiled with and whether the compiled library is in use."""
    facts = json.loads((_HERE / "build.json").read_text(encoding="utf-8"))
    error = _load_library()
    return BuildInfo(
        backend=facts["backend"],
        loaded=_LIBRARY.exists() and error is None,
        load_error=error,
        library=_LIBRARY if _LIBRARY.exists() else None,
        ops=tuple(facts["ops"]),
        min_torch=facts["min_torch"],
        torch_headers=facts["torch_headers"],
        compiler=facts["compiler"],
        toolkit=facts["toolkit"],
        archs=tuple(facts["archs"]),
    )


@functools.cache
def load() -> None:
    """Register the operators once: the compiled ones, else pure PyTorch, with a warning where a library is unusable."""
    info = build_info()
    if info.load_error is not None:
        warnings.warn(_load_message(info), OpsLoadWarning, stacklevel=3)
    _register(define=not info.loaded)


@functools.cache
def _registrations() -> torch.library.Library:
    return torch.library.Library("mimctl_ops", "FRAGMENT")


def _register(*, define: bool) -> None:
    library = _registrations()
    for name, schema in _SCHEMAS.items():
        if define:
            library.define(schema)
        # For every device that the compiled library has no kernel for.
        library.impl(name, getattr(reference, name), "CompositeExplicitAutograd")


@functools.cache
def _load_library() -> str | None:
    if not _LIBRARY.exists():
        return None
    try:
        torch.ops.load_library(_LIBRARY)
    except OSError as err:
        return _explain(str(err.__cause__ or err))
    return None


def _explain(reason: str) -> str:
    """Return the loader's reason with the missing library or symbol first."""
    if found := re.search(r"undefined symbol: (\S+)", reason):
        return f"the symbol `{found[1]}` is missing from the installed torch"
    if found := re.search(r"(\S+): cannot open shared object file", reason):
        return f"the library `{found[1]}` is missing"
    if found := re.search(r"version `(\S+)' not found", reason):
        return f"the symbol version `{found[1]}` is missing from this system"
    return reason


def _load_message(info: BuildInfo) -> str:
    return (
        f"the compiled operators of mimctl-ops ({info.backend}) cannot be loaded; the slower pure PyTorch is used\n"
        f"  cause: {info.load_error}\n"
        f"         this build needs torch >= {info.min_torch}, torch {torch.__version__} is installed\n"
        "  hint: install a build that fits: `mimctl install mimctl-ops`, or `--variant python` for pure PyTorch"
    )

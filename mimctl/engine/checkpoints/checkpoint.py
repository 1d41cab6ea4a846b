"""Checkpoints: written whole or not at all, read without running code, also those of OpenMMLab."""

from __future__ import annotations

import contextlib
import contextvars
import json
import os
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mimctl.config.weight_names import BACKBONE_OF
from mimctl.engine.checkpoints import untrusted
from mimctl.engine.checkpoints.fitting import LoadReport, below_prefix, load_state_dict, revised
from mimctl.engine.checkpoints.saved import find_latest, is_readable, point_to, publish
from mimctl.engine.checkpoints.untrusted import numpy_globals
from mimctl.engine.files.atomic import atomic_write
from mimctl.errors import IntegrityError, MimctlError, UnsafeFileError, did_you_mean, nearest

__all__ = [
    "LoadReport",
    "atomic_write",
    "below_prefix",
    "export_weights",
    "find_latest",
    "is_readable",
    "load_state_dict",
    "numpy_globals",
    "point_to",
    "publish",
    "read_checkpoint",
    "require_whole",
    "resolve",
    "revised",
    "save_checkpoint",
    "use_weights",
]

_WEIGHTS: contextvars.ContextVar[Mapping[str, str] | None] = contextvars.ContextVar("mimctl_weights", default=None)
# What torch allows beside its own list is one table for all threads.
_READING = threading.Lock()


@contextlib.contextmanager
def use_weights(mapping: Mapping[str, str]) -> Iterator[None]:
    """Let `resolve` find URLs in `mapping` (URL → local file) while the block runs."""
    token = _WEIGHTS.set(dict(mapping))
    try:
        yield
    finally:
        _WEIGHTS.reset(token)


def resolve(path_or_url: str | os.PathLike[str]) -> Path:
    """Return the local file of a checkpoint that a config names by path or URL.

    The engine fetches nothing: a URL must have been fetched before the launch (`use_weights`). Raises
    MimctlError[weights-not-fetched] for a URL without a file, [checkpoint-not-found] for a path without one.
    """
    text = os.fspath(path_or_url)
    local = (_WEIGHTS.get() or {}).get(text)
    if local is None and _is_address(text):
        raise MimctlError(
            f"the weights `{text}` are not at hand",
            code="weights-not-fetched",
            causes=["a run does not fetch files; those that a config names are fetched before it starts"],
            hints=["start the run with `mimctl train`, which fetches them, or name a local file instead"],
        )
    path = Path(local or text).expanduser()
    if not path.is_file():
        raise _missing(path)
    return path


def read_checkpoint(path: str | os.PathLike[str], map_location: Any = "cpu") -> dict[str, Any]:
    """Read a checkpoint as a dict that has at least `state_dict` and `meta`.

    Of a classifier named by `mmcls://` the backbone is read alone, as with MMEngine. `.safetensors` files give tensors
    and metadata; other files are read with `weights_only=True` in every case. Raises MimctlError[checkpoint-not-found],
    UnsafeFileError[unsafe-checkpoint] where the pickle names a global that could run code, and
    IntegrityError[bad-checkpoint] where the file is cut off or of another kind.
    """
    local = resolve(path)
    content = _read_safetensors(local, map_location) if local.suffix == ".safetensors" else _read(local, map_location)
    if not isinstance(content, dict):
        raise _bad(local, f"it holds a {type(content).__name__}, not a dict")
    if "state_dict" not in content:
        inner = content.get("model", content)
        if not isinstance(inner, dict) or not any(isinstance(each, Tensor) for each in inner.values()):
            raise _bad(local, "it holds no `state_dict`")
        content = {"state_dict": dict(inner), "meta": {}}
    if os.fspath(path).startswith(BACKBONE_OF):
        content = {"state_dict": below_prefix(content["state_dict"], "backbone", os.fspath(path)), "meta": {}}
    content.setdefault("meta", {})
    return content


def require_whole(path: str | os.PathLike[str]) -> None:
    """Raise IntegrityError[bad-checkpoint] where a file's content does not agree with the checksums inside it.

    torch does not compare them. Files without checksums (before torch 1.6, safetensors) pass.
    """
    local = resolve(path)
    with local.open("rb") as stream:
        has_checksums = stream.read(2) == b"PK"
    if has_checksums and not is_readable(local, checks_content=True):
        raise _bad(local, "it is cut off or damaged: its checksums do not agree with its content")


def save_checkpoint(obj: Mapping[str, Any], path: str | os.PathLike[str]) -> Path:
    """Write a checkpoint: into a temporary file beside `path`, synced, then renamed.

    Whatever interrupts it, `path` holds either the whole new content or what it held before.
    """
    return atomic_write(Path(path), lambda temporary: torch.save(dict(obj), temporary))


def export_weights(
    src: str | os.PathLike[str],
    dst: str | os.PathLike[str],
    *,
    dtype: str | None = "float16",
    meta: Mapping[str, Any] | None = None,
) -> Path:
    """Write the weights of checkpoint `src` to `dst` (.safetensors) and return it.

    Floating-point tensors are stored as `dtype` (None keeps theirs); `meta` (default: that of the checkpoint) is
    stored as JSON text under the metadata key `mimctl`. Optimizer state and the like stay behind.
    """
    from safetensors.torch import save_file

    content = read_checkpoint(src)
    kind: torch.dtype | None = getattr(torch, dtype) if dtype else None
    tensors = {
        key: (value.to(kind) if kind and value.is_floating_point() else value).contiguous().clone()
        for key, value in content["state_dict"].items()
        if isinstance(value, Tensor)
    }
    facts = json.dumps(dict(meta if meta is not None else content["meta"]), default=str, sort_keys=True)
    metadata = {"format": "pt", "mimctl": facts}

    def write(temporary: Path) -> None:
        save_file(tensors, str(temporary), metadata=metadata)
        _order_header(temporary)

    return atomic_write(Path(dst), write)


def _order_header(path: Path) -> None:
    """Put the header of a `.safetensors` file in order: its writer does so at random, and hashes would differ."""
    with path.open("r+b") as stream:
        size = int.from_bytes(stream.read(8), "little")
        header = json.loads(stream.read(size))
        ordered = json.dumps(header, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
        if len(ordered) <= size:
            stream.seek(8)
            stream.write(ordered.ljust(size))


def _read(path: Path, map_location: Any) -> Any:
    try:
        names = untrusted.look_into(path)
        with _READING, torch.serialization.safe_globals(untrusted.stand_ins(names)):
            content = torch.load(path, map_location=map_location, weights_only=True)
        return untrusted.settled(content)
    except untrusted.RefusedError as refused:
        raise _unsafe(path, [untrusted.printable(name) for name in refused.names]) from None
    except untrusted.MalformedError as err:
        raise _bad(path, _reason(path, str(err))) from err
    except OSError:
        raise
    except Exception as err:  # torch raises many kinds for a damaged file; the boundary of reading is here
        raise _bad(path, _reason(path, str(err))) from err


def _reason(path: Path, found: str) -> str:
    with path.open("rb") as stream:
        head = stream.read(300)
    if not head:
        return "it is empty"
    if head[:2] == b"PK":
        return found.splitlines()[0].partition(". This is")[0][:200]
    if head[257:262] == b"ustar":
        return "it is in the format of torch before 0.1.10, which cannot be read without running code"
    if head.lstrip()[:1] in (b"<", b"{"):
        return f"it is text, not a checkpoint: {head[:64].decode(errors='replace').splitlines()[0][:60]!r}"
    if "first bytes" in found:
        return f"{found}: {head[:8]!r}"
    return found.splitlines()[0][:200]


def _read_safetensors(path: Path, map_location: Any) -> dict[str, Any]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="pt", device=str(map_location or "cpu")) as file:
            metadata = file.metadata() or {}
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 — no mapping
    except SafetensorError as err:
        raise _bad(path, str(err)) from err
    floats = {key: value.float() if value.dtype in (torch.float16, torch.bfloat16) else value
              for key, value in tensors.items()}  # fmt: skip
    return {"state_dict": floats, "meta": _metadata(metadata)}


def _metadata(metadata: Mapping[str, str]) -> dict[str, Any]:
    try:
        facts = json.loads(metadata.get("mimctl", "{}"))
    except json.JSONDecodeError:
        facts = {}
    others = {key: value for key, value in metadata.items() if key not in ("format", "mimctl")}
    return {**others, **facts} if isinstance(facts, dict) else others


def _is_address(text: str) -> bool:
    return "://" in text and not text.startswith("file://")


def _missing(path: Path) -> MimctlError:
    folder = path.parent
    names = [each.name for each in folder.iterdir()] if folder.is_dir() else []
    near = nearest(path.name, names)
    hints = did_you_mean(str(folder / each) for each in near)
    return MimctlError(f"there is no checkpoint `{path}`", code="checkpoint-not-found", hints=hints)


def _bad(path: Path, reason: str) -> IntegrityError:
    size = path.stat().st_size if path.exists() else 0
    return IntegrityError(
        f"`{path}` is not a readable checkpoint",
        code="bad-checkpoint",
        causes=[reason, f"the file has {size:,} bytes"],
        hints=["if it was downloaded, download it again; if a run wrote it, take an earlier one of that run"],
    )


def _unsafe(path: Path, names: list[str]) -> UnsafeFileError:
    shown = ", ".join(f"`{name}`" for name in names[:6])
    return UnsafeFileError(
        f"`{path}` was refused: reading it would call `{names[0]}`",
        causes=[f"its pickle names {shown}{', …' if len(names) > 6 else ''}, which no checkpoint needs"],
        hints=["do not load this file; ask its author for a `.safetensors` file"],
        details={"global": names[0], "globals": names[:50]},
    )

"""Make of a run's checkpoint what others load: weights alone, in both formats, under names that carry their hash."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mimctl.config import Config
from mimctl.engine.checkpoints.checkpoint import export_weights, read_checkpoint, require_whole
from mimctl.engine.files.atomic import name_by_hash
from mimctl.engine.infer import init_model
from mimctl.errors import MimctlError
from mimctl.spec import RunSpec

KEPT_META = ("cfg", "dataset_meta", "epoch", "iter", "seed", "world_size", "mimctl_version")
"""What of a checkpoint's facts goes with the weights; paths, times and histories stay behind."""


def publish(spec: RunSpec) -> dict[str, Any]:
    """Write the weights of the spec's checkpoint into `options["out_dir"]` and return what is known of them.

    The files are `<name>-<first 8 hex digits of their sha256>` with `.safetensors` and `.pth`, by `options["name"]`;
    floating-point tensors become `options["dtype"]` where it is given. The config is that of the spec. Returns `files`
    (name, sha256, size in bytes), `parameters` (their number), `facts` (epoch, iter, world_size, …), `environment`.
    Raises MimctlError[weights-mismatch] where the config's model does not take exactly these weights,
    IntegrityError[bad-checkpoint].
    """
    checkpoint, folder = Path(str(spec.checkpoint)), Path(spec.options["out_dir"])
    require_whole(checkpoint)
    found = read_checkpoint(checkpoint)
    cfg = Config.fromfile(str(spec.config))
    parameters = _fitting(cfg, checkpoint, found["state_dict"])
    meta = {key: found["meta"][key] for key in KEPT_META if key in found["meta"]} | {"cfg": cfg.pretty_text}
    dtype = spec.options.get("dtype")
    folder.mkdir(parents=True, exist_ok=True)
    plain = export_weights(checkpoint, folder / "weights.safetensors", dtype=dtype, meta=meta)
    kind = getattr(torch, dtype) if dtype else None
    archive = folder / "weights.pth"
    # Of a stream torch names the parts alike, of a file after the file: the same weights give the same bytes.
    with archive.open("wb") as stream:
        torch.save({"meta": meta, "state_dict": _weights(found["state_dict"], kind)}, stream)
    return {
        "files": [_named(path, spec.options["name"]) for path in (plain, archive)],
        "parameters": parameters,
        "facts": {key: meta[key] for key in ("epoch", "iter", "world_size", "seed") if key in meta},
        "classes": len((meta.get("dataset_meta") or {}).get("classes") or ()),
        "environment": {"torch": torch.__version__, "cuda": torch.version.cuda},
    }


def _fitting(cfg: Config, checkpoint: Path, weights: Mapping[str, Any]) -> int:
    """Return how many parameters the config's model has; refuse weights that others could not load into it."""
    model = init_model(cfg, checkpoint)
    wanted = {name: tuple(each.shape) for name, each in model.state_dict().items()}
    held = {name: tuple(each.shape) for name, each in weights.items() if isinstance(each, Tensor)}
    if wanted != held:
        differing = sorted(name for name in wanted.keys() | held.keys() if wanted.get(name) != held.get(name))
        raise MimctlError(
            "the weights are not those of the config's model",
            code="weights-mismatch",
            causes=[f"{len(differing)} differ: {', '.join(differing[:5])}"],
            hints=["publish a checkpoint together with the config it was trained by"],
        )
    return sum(each.numel() for each in model.parameters())


def _weights(state: Mapping[str, Any], kind: torch.dtype | None) -> dict[str, Any]:
    tensors = {name: each for name, each in state.items() if isinstance(each, Tensor)}
    return {name: each.to(kind) if kind and each.is_floating_point() else each for name, each in tensors.items()}


def _named(path: Path, name: str) -> dict[str, Any]:
    stem, digest = name_by_hash(path, name)
    final = path.replace(path.with_name(f"{stem}{path.suffix}"))
    return {"name": final.name, "sha256": digest, "size": final.stat().st_size}

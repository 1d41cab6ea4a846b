"""Weights of a model, in the names and arguments that MMEngine's scripts use."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from mimctl.engine.checkpoints import checkpoint as files
from mimctl.engine.introspection import apply_to
from mimctl.engine.ranks.parallel import bare_model
from mimctl.engine.reporting.log import get_logger


def load_checkpoint(
    model: nn.Module,
    filename: str | Path,
    map_location: Any = None,
    strict: bool = False,
    logger: logging.Logger | None = None,
    revise_keys: Sequence[tuple[str, str]] = ((r"^module\.", ""),),
) -> dict[str, Any]:
    """Load a checkpoint's weights into a model and return the checkpoint; what does not fit is logged.

    `revise_keys` are (regular expression, replacement) for the keys. Nothing in the file is executed. Raises
    MimctlError[checkpoint-not-found]; with `strict` MimctlError[weights-mismatch] where anything does not fit.
    """
    found = files.read_checkpoint(filename, map_location or "cpu")
    load_state_dict(model, files.revised(found.get("state_dict", found), revise_keys), strict, logger)
    return found


def load_state_dict(
    module: nn.Module,
    state_dict: Mapping[str, Any],
    strict: bool = False,
    logger: logging.Logger | str | None = None,
) -> files.LoadReport:
    """Load what fits, log the rest (with `strict` MimctlError[weights-mismatch]) and return the report."""
    report = files.load_state_dict(module, state_dict, strict=strict)
    if not report.is_complete:
        (logger if isinstance(logger, logging.Logger) else get_logger()).warning("weights: %s", report.summary())
    return report


def save_checkpoint(
    checkpoint: Mapping[str, Any], filename: str | Path, file_client_args: Any = None, backend_args: Any = None
) -> Path:
    """Write a checkpoint whole or not at all, to a path of this machine; the other arguments change nothing."""
    return files.save_checkpoint(checkpoint, filename)


def weights_to_cpu(state_dict: Mapping[str, Any]) -> Any:
    """Return nested data with every tensor on the CPU."""
    return apply_to(state_dict, lambda value: isinstance(value, torch.Tensor), lambda tensor: tensor.cpu())


def get_state_dict(
    module: nn.Module, destination: Any = None, prefix: str = "", keep_vars: bool = False
) -> dict[str, Any]:
    """Return a module's parameters and buffers, without the prefix of a distributed wrapper."""
    state: dict[str, Any] = bare_model(module).state_dict(prefix=prefix, keep_vars=keep_vars)
    if destination is not None:
        destination.update(state)
        return destination  # type: ignore[no-any-return]
    return state


def find_latest_checkpoint(path: str | Path) -> str | None:
    """Return the newest whole checkpoint in a work dir, or None."""
    found = files.find_latest(path)
    return None if found is None else str(found)


class CheckpointLoader:
    """Reads checkpoints for models that load their weights themselves; other places than the engine's are not known."""

    @classmethod
    def load_checkpoint(
        cls, filename: str | Path, map_location: Any = None, logger: logging.Logger | str | None = "current"
    ) -> dict[str, Any]:
        """Return the checkpoint, as `read_checkpoint` does: nothing in it is executed, nothing is fetched."""
        return files.read_checkpoint(filename, map_location or "cpu")

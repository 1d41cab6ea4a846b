"""Try a whole run out in seconds: some batches of training, validation and test, every hook, nothing kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mimctl.errors import ConfigError


def shorten(parts: dict[str, Any], batches: int) -> None:
    """Change a Runner's configs so that each loop takes `batches` batches and the training ends with a validation.

    Raises ConfigError where a dataloader is built already, which nothing can shorten.
    """
    for mode in ("train", "val", "test"):
        loader = parts[f"{mode}_dataloader"]
        if loader is not None and not isinstance(loader, Mapping):
            raise ConfigError(
                f"`fast_dev_run` cannot shorten `{mode}_dataloader`, which is built already",
                hints=["give the dataloader as a config: `dict(dataset=…, sampler=…, batch_size=…)`"],
            )
        if loader is not None:
            parts[f"{mode}_dataloader"] = {**loader, "num_batch_per_epoch": batches}
    if parts["train_cfg"] is not None:
        parts["train_cfg"] = _short(parts["train_cfg"], batches)
    parts["resume"] = False


def _short(train_cfg: Mapping[str, Any], batches: int) -> dict[str, Any]:
    short = {key: value for key, value in train_cfg.items() if key != "dynamic_intervals"}
    ends = {"max_epochs": 1, "max_iters": batches, "val_begin": 1, "val_interval": batches}
    if "max_epochs" in short:
        ends["val_interval"] = 1
    return short | {key: value for key, value in ends.items() if key in short}

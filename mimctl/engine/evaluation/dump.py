"""DumpResults: keep every prediction in a file, for a look or for evaluation later."""

from __future__ import annotations

import io
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from mimctl.engine.evaluation.metric import BaseMetric
from mimctl.engine.files import fileio
from mimctl.engine.registry import METRICS
from mimctl.engine.reporting.log import get_logger
from mimctl.errors import ConfigError


@METRICS.register_module()
class DumpResults(BaseMetric):
    """Write the predictions of the whole dataset, as a list of dicts of CPU tensors, to `out_file_path`.

    `.pkl` is what OpenMMLab's tools read; `.pt` is torch's format, which loads with `weights_only=True`.
    """

    def __init__(self, out_file_path: str, collect_device: str = "cpu", collect_dir: str | None = None) -> None:
        super().__init__(collect_device=collect_device, collect_dir=collect_dir)
        if Path(out_file_path).suffix not in (".pkl", ".pickle", ".pt", ".pth"):
            raise ConfigError(
                f"cannot dump predictions to {out_file_path}", code="bad-argument", hints=["name a .pkl or a .pt file"]
            )
        self.out_file_path = out_file_path

    def process(self, data_batch: Any, data_samples: Sequence[dict[str, Any]]) -> None:
        """Keep the predictions, on the CPU."""
        self.results.extend(to_cpu(each) for each in data_samples)

    def compute_metrics(self, results: list[Any]) -> dict[str, Any]:
        """Write the file; there are no figures."""
        stream = io.BytesIO()
        if Path(self.out_file_path).suffix in (".pt", ".pth"):
            torch.save(results, stream)
        else:
            pickle.dump(results, stream)
        fileio.put(stream.getvalue(), self.out_file_path)
        get_logger().info("predictions written to %s", self.out_file_path)
        return {}


def to_cpu(value: Any) -> Any:
    """Return nested plain data with every tensor on the CPU and every data element as a dict."""
    if isinstance(value, torch.Tensor):
        return value.detach().cpu()
    if hasattr(value, "to_dict"):
        return to_cpu(value.to_dict())
    if isinstance(value, dict):
        return {key: to_cpu(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(to_cpu(each) for each in value)
    return value

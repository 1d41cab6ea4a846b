"""Evaluation: several metrics over one pass, prefixes, stored predictions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from mimctl.engine.evaluation import BaseMetric, DumpResults, Evaluator
from mimctl.engine.structures import BaseDataElement
from mimctl.errors import ConfigError


class Mean(BaseMetric):
    default_prefix = "toy"

    def process(self, data_batch: Any, data_samples: Sequence[dict[str, Any]]) -> None:
        self.results.extend(float(each["score"]) for each in data_samples)

    def compute_metrics(self, results: list[float]) -> dict[str, float]:
        return {"mean": sum(results) / len(results), "classes": len((self.dataset_meta or {})["classes"])}


def samples() -> list[BaseDataElement]:
    return [BaseDataElement(score=torch.tensor(value)) for value in (1.0, 2.0, 3.0, 9.0)]


def test_figures_get_their_prefix_and_padding_is_cut_off() -> None:
    evaluator = Evaluator([Mean(), Mean(prefix="other")])
    evaluator.dataset_meta = {"classes": ("a",)}
    evaluator.process(samples())
    assert evaluator.evaluate(3) == {"toy/mean": 2.0, "toy/classes": 1, "other/mean": 2.0, "other/classes": 1}


def test_a_second_evaluation_starts_empty() -> None:
    metric = Mean()
    metric.dataset_meta = {"classes": ()}
    metric.process(None, [{"score": 1.0}])
    metric.evaluate(1)
    metric.process(None, [{"score": 5.0}])
    assert metric.evaluate(1)["toy/mean"] == 5.0


def test_two_figures_of_one_name_are_refused() -> None:
    evaluator = Evaluator([Mean(), Mean()])
    evaluator.dataset_meta = {"classes": ()}
    with pytest.raises(ConfigError, match="toy/mean"):
        evaluator.offline_evaluate(samples(), chunk_size=3)


@pytest.mark.parametrize("name", ["a.pt", "a.pkl"])
def test_predictions_are_dumped_and_can_be_evaluated_later(tmp_path: Path, name: str) -> None:
    path = tmp_path / "out" / name
    Evaluator({"type": "DumpResults", "out_file_path": str(path)}).offline_evaluate(samples())
    if name.endswith(".pt"):
        stored = torch.load(path, weights_only=True)
    else:
        import pickle

        stored = pickle.loads(path.read_bytes())
    evaluator = Evaluator(Mean())
    evaluator.dataset_meta = {"classes": ()}
    assert evaluator.offline_evaluate(stored)["toy/mean"] == 3.75


def test_dump_needs_a_known_suffix() -> None:
    with pytest.raises(ConfigError):
        DumpResults("predictions.txt")

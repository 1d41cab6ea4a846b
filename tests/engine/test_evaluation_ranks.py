"""Evaluation over real ranks: no sample twice, none left out, one set of figures for all."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import Dataset

from mimctl.engine.data import build_dataloader
from mimctl.engine.evaluation import BaseMetric, DumpResults, Evaluator
from mimctl.engine.ranks import distributed
from tests.engine.ranks import on_ranks


class Numbered(Dataset[Any]):
    """Samples that are their own number."""

    def __init__(self, size: int) -> None:
        self.size = size

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {"number": int(index)}


class Order(BaseMetric):
    """Report the records in the order in which they come."""

    default_prefix = "order"

    def process(self, data_batch: Any, data_samples: Sequence[dict[str, Any]]) -> None:
        # Records of different lengths, with tensors and arrays in them.
        self.results += [{"number": each["number"], "t": torch.arange(each["number"]), "n": np.ones(each["number"])}
                         for each in data_samples]  # fmt: skip

    def compute_metrics(self, results: list[Any]) -> dict[str, Any]:
        assert all(len(each["t"]) == len(each["n"]) == each["number"] for each in results)
        return {"numbers": [each["number"] for each in results], "computed_by": distributed.get_rank()}


class Kinds(BaseMetric):
    """Report figures of several kinds, among them none at all."""

    def __init__(self, kind: str, **options: Any) -> None:
        super().__init__(**options)
        self.kind = kind

    def process(self, data_batch: Any, data_samples: Sequence[dict[str, Any]]) -> None:
        self.results += [each["number"] for each in data_samples]

    def compute_metrics(self, results: list[int]) -> dict[str, Any]:
        figures: dict[str, Any] = {
            "nothing": None,
            "empty": {},
            "nan": {"value": float("nan")},
            "numpy": {"value": np.float32(0.5)},
            "tensor": {"value": torch.tensor(0.25)},
        }
        found: dict[str, Any] = figures[self.kind]
        return found


def evaluated(metrics: list[BaseMetric], size: int, batch_size: int, round_up: bool) -> dict[str, Any]:
    """Return the figures of a dataset of `size` samples that this rank has a share of."""
    sampler = {"type": "DefaultSampler", "shuffle": False, "round_up": round_up}
    loader = build_dataloader({"dataset": Numbered(size), "sampler": sampler, "batch_size": batch_size}, seed=0)
    evaluator = Evaluator(metrics)
    for batch in loader:
        evaluator.process([{"number": each} for each in batch["number"]], batch)
    return evaluator.evaluate(size)


def all_orders(rank: int) -> list[Any]:
    """Return what this rank is told of datasets of 1 to 7 samples."""
    cases = [(size, batch, up) for size in range(1, 8) for batch in (1, 2, 5) for up in (True, False)]
    return [evaluated([Order(), Order(prefix="again")], *case) for case in cases]


@pytest.mark.parametrize("count", [2, pytest.param(3, marks=pytest.mark.slow)])
def test_every_sample_counts_once_whatever_the_length(count: int) -> None:
    told = on_ranks(all_orders, count=count)
    assert all(each == told[0] for each in told), "all ranks have the figures"
    for place, figures in enumerate(told[0]):
        numbers = list(range(place // 6 + 1))
        assert figures["order/numbers"] == figures["again/numbers"] == numbers
        assert figures["order/computed_by"] == 0


def kinds_of_figures(rank: int) -> list[Any]:
    """Return figures of several kinds as JSON can hold them."""
    found = []
    for kind in ("nothing", "empty", "nan", "numpy", "tensor"):
        figures = evaluated([Kinds(kind)], 3, 2, True)
        found.append({name: "nan" if math.isnan(value) else float(value) for name, value in figures.items()})
    return found


@pytest.mark.parametrize("count", [1, 2])
def test_figures_may_be_nothing_and_no_number(count: int) -> None:
    expected = [{}, {}, {"value": "nan"}, {"value": 0.5}, {"value": 0.25}]
    told = on_ranks(kinds_of_figures) if count > 1 else [kinds_of_figures(0)]
    assert told == [expected] * count


def dump_of_a_rank(rank: int, path: str) -> dict[str, Any]:
    """Dump predictions of five samples that two ranks have."""
    evaluator = Evaluator([DumpResults(path), Order()])
    for number in range(rank, 6, 2):
        evaluator.process([{"number": number % 5, "scores": torch.full((2,), float(number % 5))}])
    return evaluator.evaluate(5)


def test_predictions_of_all_ranks_are_dumped_once_and_evaluated_later(tmp_path: Path) -> None:
    path = tmp_path / "predictions.pt"
    told = on_ranks(dump_of_a_rank, str(path))
    stored = torch.load(path, weights_only=True)
    assert [each["number"] for each in stored] == [0, 1, 2, 3, 4]
    assert stored[3]["scores"].tolist() == [3.0, 3.0]
    assert Evaluator(Order()).offline_evaluate(stored) == told[0]


def test_a_clash_of_names_is_an_error_on_every_rank() -> None:
    assert on_ranks(clash_of_a_rank) == ["bad-argument"] * 2


def clash_of_a_rank(rank: int) -> str:
    """Return the code of the error that two metrics of one name are."""
    from mimctl.errors import ConfigError

    try:
        evaluated([Order(), Order()], 3, 1, True)
    except ConfigError as err:
        return str(err.code)
    return "none"


def test_stored_predictions_meet_the_samples_they_are_of() -> None:
    class Pairs(BaseMetric):
        """Note batch and predictions side by side."""

        def process(self, data_batch: Any, data_samples: Sequence[dict[str, Any]]) -> None:
            self.results += list(zip(data_batch["image"], [each["number"] for each in data_samples], strict=True))

        def compute_metrics(self, results: list[Any]) -> dict[str, Any]:
            return {"pairs": results}

    data = [{"image": name} for name in "abc"]
    stored = [{"number": number} for number in range(3)]
    assert Evaluator(Pairs()).offline_evaluate(stored, data, chunk_size=2) == {"pairs": [("a", 0), ("b", 1), ("c", 2)]}
    with pytest.raises(ValueError, match="3 predictions but 2 inputs"):
        Evaluator(Pairs()).offline_evaluate(stored, data[:2])

"""Test-time augmentation: views of a sample through the model, one prediction out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from mimctl.config import Config
from mimctl.engine.data import BaseDataset
from mimctl.engine.evaluation import BaseMetric
from mimctl.engine.hooks import PrepareTTAHook, build_runner_with_tta
from mimctl.engine.hooks.test_time_aug import use_tta_pipeline
from mimctl.engine.model import BaseModel, BaseTTAModel
from mimctl.engine.registry import DATASETS, METRICS, MODELS
from mimctl.engine.runner import Runner
from mimctl.errors import ConfigError
from mimctl.vision.transforms import TestTimeAug

MakeRunner = Callable[..., Runner]


@MODELS.register_module()
class Doubling(BaseModel):
    """Predict twice the input."""

    def __init__(self) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(2.0))

    def forward(self, inputs: Any, data_samples: Any = None, mode: str = "tensor") -> Any:
        return [float(self.factor.detach() * value) for value in inputs]


@MODELS.register_module()
class MeanOfViews(BaseTTAModel):
    """Average what the views give; keep how many there were."""

    def merge_preds(self, data_samples_list: Sequence[Sequence[float]]) -> list[dict[str, float]]:
        return [{"mean": sum(views) / len(views), "views": len(views)} for views in data_samples_list]


@DATASETS.register_module()
class ThreeNumbers(BaseDataset):
    """The numbers 1, 2 and 3."""

    def load_data_list(self) -> list[dict[str, Any]]:
        return [{"value": float(number)} for number in (1, 2, 3)]


@METRICS.register_module()
class Listed(BaseMetric):
    """Return every prediction."""

    default_prefix = "seen"

    def process(self, data_batch: Any, data_samples: Sequence[Any]) -> None:
        self.results += list(data_samples)

    def compute_metrics(self, results: list[Any]) -> dict[str, Any]:
        if isinstance(results[0], float):
            return {"means": results}
        return {"means": [each["mean"] for each in results], "views": results[0]["views"]}


def plus(amount: float) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda sample: {**sample, "value": sample["value"] + amount}


def pack(sample: dict[str, Any]) -> dict[str, Tensor]:
    return {"inputs": torch.tensor(sample["value"])}


VIEWS = [TestTimeAug([[plus(0.0), plus(10.0)], [plus(0.0), plus(100.0)], [pack]])]


def config(dataset: Any) -> dict[str, Any]:
    """Return what the test of a Runner needs."""
    loader = {"dataset": dataset, "sampler": {"type": "DefaultSampler", "shuffle": False}, "batch_size": 2}
    return {"model": {"type": "Doubling"}, "test_dataloader": loader, "test_evaluator": {"type": "Listed"}}


def test_views_are_run_and_merged_sample_by_sample() -> None:
    model = MeanOfViews(Doubling())
    batch = {"inputs": [[torch.tensor(1.0), torch.tensor(2.0)], [torch.tensor(3.0), torch.tensor(4.0)]]}
    assert model.test_step(batch) == [{"mean": 4.0, "views": 2}, {"mean": 6.0, "views": 2}]
    assert model.test_step((batch["inputs"], [[None, None], [None, None]])) == model.test_step(batch)


def test_the_module_may_be_a_config_with_a_preprocessor_of_its_own() -> None:
    model = MeanOfViews({"type": "BareStep"}, data_preprocessor={"type": "BaseDataPreprocessor"})
    assert type(model.module.data_preprocessor).__name__ == "BaseDataPreprocessor"
    with pytest.raises(TypeError, match="test_step"):
        MeanOfViews(nn.Linear(1, 1))
    with pytest.raises(NotImplementedError, match="test_step"):
        model.forward(torch.zeros(1))


@MODELS.register_module()
class BareStep(nn.Module):
    """A model that has the preprocessor it is given, and a test step."""

    def __init__(self, data_preprocessor: Any) -> None:
        super().__init__()
        self.data_preprocessor = MODELS.build(data_preprocessor)

    def test_step(self, data: Any) -> list[Any]:
        return list(data["inputs"])


def test_a_test_wraps_the_loaded_model(make_runner: MakeRunner) -> None:
    plain = make_runner(**config(ThreeNumbers(pipeline=[pack], test_mode=True)))
    assert plain.test() == {"seen/means": [2.0, 4.0, 6.0]}
    hook = PrepareTTAHook({"type": "MeanOfViews"})
    runner = make_runner(**config(ThreeNumbers(pipeline=VIEWS, test_mode=True)), custom_hooks=[hook])
    assert runner.test() == {"seen/means": [112.0, 114.0, 116.0], "seen/views": 4}
    assert isinstance(runner.model, MeanOfViews)


def test_a_model_that_is_wrapped_in_the_config_takes_the_weights_of_the_one_inside(
    make_runner: MakeRunner, tmp_path: Any
) -> None:
    torch.save({"meta": {}, "state_dict": {"factor": torch.tensor(3.0)}}, tmp_path / "weights.pth")
    cfg = config(ThreeNumbers(pipeline=VIEWS, test_mode=True))
    cfg["model"] = {"type": "MeanOfViews", "module": {"type": "Doubling"}}
    runner = make_runner(**cfg, load_from=str(tmp_path / "weights.pth"))
    assert runner.test()["seen/means"] == [168.0, 171.0, 174.0]


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_config_says_how_its_samples_are_seen(tmp_path: Any, wrapped: bool) -> None:
    dataset: dict[str, Any] = {"type": "ThreeNumbers", "pipeline": [pack], "test_mode": True}
    if wrapped:
        dataset = {"type": "ConcatDataset", "datasets": [{"type": "RepeatDataset", "times": 1, "dataset": dataset}]}
    cfg = Config({"work_dir": str(tmp_path), "test_cfg": {}, **config(dataset)})
    cfg["tta_model"] = {"type": "MeanOfViews"}
    cfg["tta_pipeline"] = VIEWS
    assert build_runner_with_tta(cfg).test()["seen/views"] == 4


@pytest.mark.parametrize("key", ["tta_model", "tta_pipeline", "test_dataloader"])
def test_what_is_missing_is_named(key: str) -> None:
    cfg: dict[str, Any] = {"tta_model": {}, "tta_pipeline": [], "test_dataloader": {"dataset": {}}}
    del cfg[key]
    with pytest.raises(ConfigError, match=key):
        use_tta_pipeline(cfg)


def test_the_dataset_of_the_config_that_others_share_is_left_alone() -> None:
    shared = {"dataset": {"type": "ThreeNumbers", "pipeline": ["before"]}}
    cfg: dict[str, Any] = {
        "tta_model": {},
        "tta_pipeline": ["after"],
        "test_dataloader": shared,
        "val_dataloader": shared,
    }
    use_tta_pipeline(cfg)
    assert cfg["test_dataloader"]["dataset"]["pipeline"] == ["after"]
    assert cfg["val_dataloader"]["dataset"]["pipeline"] == ["before"]

"""Test with several views of each sample (test-time augmentation)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any

from mimctl.config.values import copy_value
from mimctl.engine.hooks.hook import Hook
from mimctl.engine.registry import HOOKS, MODELS
from mimctl.errors import ConfigError

if TYPE_CHECKING:
    from mimctl.engine.runner import Runner


@HOOKS.register_module()
class PrepareTTAHook(Hook):
    """Wrap the loaded model before a test in what merges the predictions of its views (`tta_cfg`, a BaseTTAModel)."""

    priority = "NORMAL"

    def __init__(self, tta_cfg: Mapping[str, Any]) -> None:
        self.tta_cfg = tta_cfg

    def before_test(self, runner: Runner) -> None:
        runner.model = MODELS.build(self.tta_cfg, module=runner.model)


def use_tta_pipeline(cfg: MutableMapping[str, Any]) -> Mapping[str, Any]:
    """Let the test data of a config go through its `tta_pipeline` and return its `tta_model`.

    Raises ConfigError where the config lacks one of these, or a test dataloader.
    """
    for key in ("tta_model", "tta_pipeline", "test_dataloader"):
        if cfg.get(key) is None:
            raise ConfigError(
                f"test-time augmentation needs `{key}`, which the config lacks",
                code="missing-argument",
                hints=["`tta_pipeline` ends in a `TestTimeAug`, `tta_model` names what merges the predictions"],
            )
    loader = copy_value(cfg["test_dataloader"])
    for dataset in _innermost(loader["dataset"]):
        dataset["pipeline"] = copy_value(cfg["tta_pipeline"])
    cfg["test_dataloader"] = loader
    merging: Mapping[str, Any] = cfg["tta_model"]
    return merging


def build_runner_with_tta(cfg: MutableMapping[str, Any]) -> Runner:
    """Return a Runner whose test sees each sample as the config's `tta_pipeline` and `tta_model` say."""
    from mimctl.engine.runner import Runner

    merging = use_tta_pipeline(cfg)
    runner = Runner.from_cfg(cfg)
    runner.register_hook(PrepareTTAHook(merging))
    return runner


def _innermost(dataset: MutableMapping[str, Any]) -> Iterator[MutableMapping[str, Any]]:
    """Yield the configs inside wrappers: those of the datasets that have a pipeline."""
    if "dataset" in dataset:
        yield from _innermost(dataset["dataset"])
    elif "datasets" in dataset:
        for each in dataset["datasets"]:
            yield from _innermost(each)
    else:
        yield dataset

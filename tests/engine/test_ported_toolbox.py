"""A toolbox written against MMEngine, of which the import lines alone are changed, trains, and as it did there."""

from __future__ import annotations

import importlib
import json
import random
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from mimctl.engine import Config, Hook, MessageHub, Runner, Visualizer
from mimctl.engine.registry import DATASETS, HOOKS, LOOPS, METRICS, MODELS, TRANSFORMS
from mimctl.errors import ConfigError
from mimctl.porting.counterparts import find_names
from mimctl.porting.rewrite import port

# MMEngine 0.10.7 on torch 2.13, CPU, with the same data and config.
LOSSES = [
    0.6931472,
    0.6879341,
    0.7280754,
    0.5093718,
    0.5453194,
    0.5783374,
    2.1152341,
    0.1975889,
    0.0079946,
    2.2270970,
    1.1355383,
    0.0757537,
    0.3827988,
    0.1533680,
    0.1417364,
]
KINDS = (DATASETS, HOOKS, LOOPS, METRICS, MODELS, TRANSFORMS)


def with_new_imports(text: str) -> str:
    """Return the source with every name imported from where it is now."""
    ported = port(text.encode(), "old_toolbox.py", find_names())
    assert ported.left == ()
    return ported.after


@pytest.fixture
def toolbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    old = (Path(__file__).parent / "old_toolbox.txt").read_text(encoding="utf-8")
    (tmp_path / "old_toolbox.py").write_text(with_new_imports(old), encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    before = [dict(each._entries) for each in KINDS]
    yield importlib.import_module("old_toolbox")
    sys.modules.pop("old_toolbox")
    for each, held in zip(KINDS, before, strict=True):
        each._entries.clear()
        each._entries.update(held)


@pytest.fixture
def points(tmp_path: Path) -> Path:
    draw = random.Random(0)
    rows = [(draw.uniform(-1, 1), draw.uniform(-1, 1)) for _ in range(20)]
    text = "".join(f"{x} {y} {int(y > x)}\n" for x, y in rows)
    (tmp_path / "points.txt").write_text(text, encoding="utf-8")
    return tmp_path


def config(folder: Path, work_dir: str = "run", **changes: Any) -> Config:
    """Return the toolbox's experiment."""

    def loader(**more: Any) -> dict[str, Any]:
        pipeline = [{"type": "ScalePoint", "scale": (0.5, 2.0)}, {"type": "PackPoint"}]
        dataset = {"type": "PointDataset", "ann_file": "points.txt", "data_root": str(folder), "pipeline": pipeline}
        sampler = {"type": "DefaultSampler", "shuffle": False}
        return {"batch_size": 4, "num_workers": 0, "sampler": sampler, "dataset": {**dataset, **more}}

    return Config(
        {
            "model": {
                "type": "PointClassifier",
                "data_preprocessor": {"type": "PointPreprocessor"},
                "backbone": {"type": "PointBackbone", "width": 6},
                "init_cfg": [
                    {"type": "Xavier", "layer": "Linear", "distribution": "uniform"},
                    {"type": "Constant", "val": 0.1, "override": {"name": "head"}},
                ],
            },
            "train_dataloader": loader(),
            "val_dataloader": loader(filter_cfg={"limit": 10}, test_mode=True),
            "val_evaluator": {"type": "PointAccuracy"},
            "train_cfg": {"type": "CountingTrainLoop", "max_epochs": 3},
            "val_cfg": {"type": "TwiceValLoop", "second": loader(test_mode=True)},
            "optim_wrapper": {
                "type": "OptimWrapper",
                "optimizer": {"type": "SGD", "lr": 0.5, "momentum": 0.9},
                "paramwise_cfg": {"bias_lr_mult": 2.0},
            },
            "param_scheduler": [
                {"type": "LinearLR", "start_factor": 0.1, "by_epoch": False, "begin": 0, "end": 5},
                {"type": "MultiStepLR", "milestones": [2], "gamma": 0.1},
            ],
            "custom_hooks": [{"type": "RememberHook"}],
            "default_hooks": {
                "checkpoint": {
                    "type": "CheckpointHook",
                    "interval": 1,
                    "save_best": "point/accuracy",
                    "rule": "greater",
                }
            },
            "randomness": {"seed": 3},
            "work_dir": str(folder / work_dir),
            "default_scope": "mmengine",
            **changes,
        }
    )


def test_toolbox_trains_as_it_did(toolbox: ModuleType, points: Path) -> None:
    runner = Runner.from_cfg(config(points))
    runner.train()
    remembered = json.loads((points / "run" / "remembered" / "losses.json").read_text(encoding="utf-8"))
    assert remembered["losses"] == pytest.approx(LOSSES, rel=1e-5)
    assert remembered["world"] == 1
    assert runner.train_loop.batches == 60  # type: ignore[attr-defined]
    assert runner.val_loop.run() == {"point/accuracy": 0.9, "second/accuracy": 0.9}
    names = {each.name for each in (points / "run").glob("*.pth")}
    assert names == {"best_point_accuracy_epoch_1.pth", "epoch_1.pth", "epoch_2.pth", "epoch_3.pth"}
    assert runner.model_name == "PointClassifier"
    assert "RememberHook" in runner.get_hooks_info()


def test_toolbox_resumes_its_own_loop(toolbox: ModuleType, points: Path) -> None:
    class Stopper(Hook):
        def before_train_epoch(self, runner: Runner) -> None:
            if runner.epoch == 2:
                raise KeyboardInterrupt

    stopped = Runner.from_cfg(config(points))
    stopped.register_hook(Stopper())
    with pytest.raises(KeyboardInterrupt):
        stopped.train()
    resumed = Runner.from_cfg(config(points, resume=True))
    resumed.train()
    remembered = json.loads((points / "run" / "remembered" / "losses.json").read_text(encoding="utf-8"))
    assert remembered["losses"] == pytest.approx(LOSSES[10:], rel=1e-5)


def test_runs_after_each_other_share_nothing(toolbox: ModuleType, points: Path) -> None:
    first, second = Runner.from_cfg(config(points, "first")), Runner.from_cfg(config(points, "second"))
    held = [hook.visualizer for runner in (first, second) for hook in runner.hooks if hasattr(hook, "visualizer")]
    assert held == [first.visualizer, second.visualizer]
    third = Runner.from_cfg(config(points, "third"))
    third.register_hook({"type": "RememberHook", "interval": 99})
    assert any(hook.visualizer is third.visualizer for hook in third.hooks if getattr(hook, "interval", 0) == 99)
    for runner in (first, second):
        runner.set_randomness(3)
        runner.train()
        assert MessageHub.get_current_instance() is runner.message_hub
    losses = [
        json.loads((points / name / "remembered" / "losses.json").read_text(encoding="utf-8"))["losses"]
        for name in ("first", "second")
    ]
    assert losses[0] == losses[1] == pytest.approx(LOSSES, rel=1e-5)
    for runner in (first, second):
        assert own_lines(runner).count("accuracy 0.") == 3
    assert Visualizer.get_current_instance() not in (first.visualizer, second.visualizer)


def test_runs_in_two_threads_do_not_mix(toolbox: ModuleType, points: Path) -> None:
    runners = {name: Runner.from_cfg(config(points, name, default_scope=name)) for name in ("det", "cls")}
    failed: list[BaseException] = []
    gate = threading.Barrier(2)

    def train(runner: Runner) -> None:
        try:
            gate.wait(240)
            runner.train()
            assert MessageHub.get_current_instance() is runner.message_hub
            assert Visualizer.get_current_instance() is not runner.visualizer
        except BaseException as err:
            failed.append(err)

    threads = [threading.Thread(target=train, args=(each,)) for each in runners.values()]
    for each in threads:
        each.start()
    for each in threads:
        each.join(240)
    assert not failed
    for name, runner in runners.items():
        assert runner.iter == 15
        assert own_lines(runner).count("accuracy 0.") == 3
        assert own_lines(runner).count("train: seed 3") == 1
        remembered = json.loads((points / name / "remembered" / "losses.json").read_text(encoding="utf-8"))
        assert len(remembered["losses"]) == 15
        scalars = next(runner.log_dir.rglob("scalars.json")).read_text(encoding="utf-8").splitlines()
        assert len([each for each in scalars if "point/accuracy" in each]) == 3


def own_lines(runner: Runner) -> str:
    """Return what a run's log file says."""
    return (runner.log_dir / f"{runner.timestamp}.log").read_text(encoding="utf-8")


def test_custom_imports_of_a_config_are_imported_by_the_runner(
    toolbox: ModuleType, points: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (points / "extra_hooks.py").write_text(
        "from mimctl.engine import HOOKS, Hook\n\n\n@HOOKS.register_module()\nclass ExtraHook(Hook):\n    pass\n",
        encoding="utf-8",
    )
    cfg = config(points, custom_imports={"imports": "extra_hooks"}, custom_hooks=[{"type": "ExtraHook"}])
    assert "ExtraHook" in [type(hook).__name__ for hook in Runner.from_cfg(cfg).hooks]
    sys.modules.pop("extra_hooks")
    with pytest.raises(ConfigError, match="cannot be imported") as caught:
        Runner.from_cfg(config(points, custom_imports={"imports": ["surely_absent"]}))
    assert isinstance(caught.value.__cause__, ModuleNotFoundError)
    allowed = {"imports": ["surely_absent"], "allow_failed_imports": True}
    Runner.from_cfg(config(points, custom_imports=allowed))

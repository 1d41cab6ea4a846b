"""What a config imports is built only if a registry knows it: nothing else runs, wherever it stands and however."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

import mimctl.engine
import mimctl.vision
from mimctl.config import Config, check
from mimctl.engine import registry as registries
from mimctl.engine.data.loader import build_dataloader
from mimctl.engine.data.transform import Compose
from mimctl.engine.infer import init_model
from mimctl.engine.registry import Registry
from mimctl.errors import ConfigError, MimctlError

KINDS = [value for value in vars(registries).values() if isinstance(value, Registry)]
STRINGS = [
    "os.system",
    "posix.system",
    "builtins.eval",
    "subprocess.Popen",
    "subprocess.run",
    "torch.load",
    "torch.hub.load",
    "torch.utils.cpp_extension.load",
    "pickle.loads",
    "runpy.run_path",
    "mimctl.engine.child.run",
    "mimctl.files.write_text",
    "engine.os.system",
    "mmengine.os.system",
    "__import__",
    "system",
    "os:system",
    "..os.system",
]

PLACES = {
    "model": "model = dict(type=system, command='touch MARK')",
    "part of the model": "model = dict(type='ResNet', backbone=dict(type=system, command='touch MARK'))",
    "init_cfg": "model = dict(type='ResNet', init_cfg=dict(type=system, command='touch MARK'))",
    "data_preprocessor": "model = dict(type='ResNet', data_preprocessor=dict(type=system, command='touch MARK'))",
    "dataset": "train_dataloader = dict(dataset=dict(type=system, command='touch MARK'))",
    "transform": "train_dataloader = dict(dataset=dict(type='BaseDataset', pipeline=[dict(type=system, command='x')]))",
    "transform in a transform": (
        "train_dataloader = dict(dataset=dict(type='BaseDataset', pipeline=["
        "dict(type='RandomApply', transforms=[dict(type=system, command='x')])]))"
    ),
    "dataset in a dataset": (
        "train_dataloader = dict(dataset=dict(type='RepeatDataset', times=1, dataset=dict(type=system, command='x')))"
    ),
    "sampler": "train_dataloader = dict(dataset=dict(type='BaseDataset'), sampler=dict(type=system, command='x'))",
    "batch_sampler": (
        "train_dataloader = dict(dataset=dict(type='BaseDataset'), batch_sampler=dict(type=system, command='x'))"
    ),
    "collate_fn": "train_dataloader = dict(dataset=dict(type='BaseDataset'), collate_fn=dict(type=system))",
    "worker_init_fn": "train_dataloader = dict(dataset=dict(type='BaseDataset'), worker_init_fn=dict(type=system))",
    "hook": "custom_hooks = [dict(type=system, command='touch MARK')]",
    "default hook": "default_hooks = dict(logger=dict(type=system, command='touch MARK'))",
    "optim_wrapper": "optim_wrapper = dict(type=system, command='touch MARK')",
    "optimizer": "optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type=system, command='touch MARK'))",
    "constructor": (
        "optim_wrapper = dict(type='OptimWrapper', constructor='os.system', optimizer=dict(type='SGD', lr=0.1))"
    ),
    "scheduler": "param_scheduler = [dict(type=system, command='touch MARK')]",
    "loop": "train_cfg = dict(type=system, command='touch MARK')",
    "metric": "val_evaluator = [dict(type=system, command='touch MARK')]",
    "visualizer": "visualizer = dict(type=system, command='touch MARK')",
    "visualizer's backend": (
        "visualizer = dict(type='Visualizer', vis_backends=[dict(type=system, command='touch MARK')])"
    ),
    "log_processor": "log_processor = dict(type=system, command='touch MARK')",
}
SPELLINGS: dict[str, Callable[[str], str]] = {
    "imported": lambda text: f"from os import system\n{text}",
    "of an imported module": lambda text: f"import os\n{text.replace('type=system', 'type=os.system')}",
    "as text": lambda text: text.replace("type=system", "type='os.system'"),
    "under another name": lambda text: "from os import system as Conv2d\n" + text.replace("=system", "=Conv2d"),
}


@pytest.fixture(scope="module")
def tables() -> list[Mapping[str, Any]]:
    folders = [Path(str(package.__file__)).parent for package in (mimctl.engine, mimctl.vision)]
    return [json.loads((folder / "types.json").read_text(encoding="utf-8")) for folder in folders]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("spelling", SPELLINGS.values(), ids=SPELLINGS.keys())
@pytest.mark.parametrize("text", PLACES.values(), ids=PLACES.keys())
def test_it_is_a_mistake_before_the_start(
    text: str, spelling: Callable[[str], str], tables: list[Mapping[str, Any]], here: Path
) -> None:
    config = Config.fromstring(spelling(text))
    for each in (config, Config.fromstring(config.pretty_text)):
        found = [error for error in check(each, tables) if "system" in error.message or "Conv2d" in error.message]
        assert found, check(each, tables)
        assert found[0].code in ("unknown-type", "unknown-scope"), found[0]
    assert list(here.iterdir()) == []


@pytest.mark.parametrize("suffix", [".py", ".yaml", ".json"])
def test_a_dump_does_not_make_it_known(suffix: str, tables: list[Mapping[str, Any]], here: Path) -> None:
    config = Config.fromstring("from os import system\nmodel = dict(type=system, command='touch MARK')")
    target = here / f"config{suffix}"
    try:
        config.dump(target)
    except ConfigError as err:
        assert err.code == "config-format"
        return
    again = Config.fromfile(target)
    assert [error.code for error in check(again, tables)] == ["unknown-type"]
    with pytest.raises(ConfigError):
        registries.MODELS.build(again.model)
    assert list(here.iterdir()) == [target]


@pytest.mark.parametrize("registry", KINDS, ids=lambda registry: registry.kind)
def test_no_registry_builds_it(registry: Registry, here: Path) -> None:
    lazy = Config.fromstring("from os import system\nimport os\na = dict(type=system)\nb = dict(type=os.system)")
    plainly = [{"type": name, "command": "touch MARK"} for name in STRINGS]
    for cfg in ({**lazy.a, "command": "touch MARK"}, {**lazy.b, "command": "touch MARK"}, *plainly):
        with pytest.raises((MimctlError, KeyError)) as caught:
            registry.build_plainly(cfg)
        assert "unknown" in str(caught.value) or isinstance(caught.value, KeyError), caught.value
    assert list(here.iterdir()) == []


@pytest.mark.parametrize("name", STRINGS)
def test_scopes_import_nothing_of_that_name(name: str, here: Path) -> None:
    for cfg in (
        {"type": name, "_scope_": "os"},
        {"type": name, "_scope_": "../os"},
        {"type": name, "_scope_": "os.path"},
    ):
        with pytest.raises(MimctlError):
            registries.MODELS.build(cfg)


@pytest.mark.parametrize("option", ["collate_fn", "worker_init_fn"])
@pytest.mark.parametrize("value", ["dict(type=system)", "system", "dict(type='os.system')", "'os.system'"])
def test_functions_of_a_dataloader_are_registered_ones(option: str, value: str, here: Path) -> None:
    config = Config.fromstring(f"from os import system\nx = dict({option}={value}, batch_size=1, num_workers=1)")
    cfg = {**config.x, "dataset": [1, 2], "sampler": {"type": "DefaultSampler", "shuffle": False}}
    with pytest.raises(ConfigError) as caught:
        build_dataloader(cfg, seed=0)
    assert caught.value.code == "unknown-type"
    assert list(here.iterdir()) == []


@pytest.mark.parametrize("value", ["dict(type=system, command='touch MARK')", "system", "'os.system'"])
def test_transforms_are_registered_ones(value: str, here: Path) -> None:
    config = Config.fromstring(f"from os import system\nx = [{value}]")
    with pytest.raises(ConfigError):
        Compose(config.x)({})
    assert list(here.iterdir()) == []


@pytest.mark.parametrize("text", ["from os import system\nmodel = dict(type=system, command='touch MARK')",
                                  "model = dict(type='os.system', command='touch MARK')",
                                  "import os\nos.system('touch MARK')\nmodel = dict(type='x')"])  # fmt: skip
def test_the_config_that_a_checkpoint_carries_builds_only_registered_names(text: str, here: Path) -> None:
    torch.save({"meta": {"cfg": text}, "state_dict": {}}, here / "weights.pth")
    with pytest.raises(ConfigError) as caught:
        init_model(None, here / "weights.pth")
    assert caught.value.code in ("unknown-type", "config-not-data")
    assert [path.name for path in here.iterdir()] == ["weights.pth"]

"""What only user code knows is checked in the child: after its import, before anything is built or trained."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from torch import nn

from mimctl import __version__
from mimctl.config import Config
from mimctl.engine.actions import load_config
from mimctl.engine.optim import build_optim_wrapper
from mimctl.engine.registry import HOOKS, MODELS
from mimctl.errors import ConfigError
from mimctl.spec import LauncherFacts, RunSpec

CODE = """
from torch import nn
from mimctl.engine import DATASETS, HOOKS, MODELS, BaseDataset, Hook


@MODELS.register_module()
class WideNet(nn.Module):
    def __init__(self, width: int, depth: int = 3, **kwargs) -> None:
        super().__init__()
        self.stem = nn.Linear(width, depth)
        self.num_classes = kwargs.pop("num_classes", 2)


@HOOKS.register_module()
class CountHook(Hook):
    def __init__(self, every: int = 1) -> None:
        self.every = every


@DATASETS.register_module()
class Letters(BaseDataset):
    METAINFO = dict(classes=("a", "b", "c"))

    def load_data_list(self):
        return []
"""

GOOD = """
custom_imports = dict(imports=['widenet_code'])
model = dict(type='WideNet', width=4, num_classes=3)
custom_hooks = [dict(type='CountHook', every=2)]
train_dataloader = dict(batch_size=2, dataset=dict(type='Letters', pipeline=[]))
train_cfg = dict(max_epochs=1)
optim_wrapper = dict(
    optimizer=dict(type='SGD', lr=0.1),
    paramwise_cfg=dict(custom_keys={'stem': dict(lr_mult=0.1)}))
"""

MakeSpec = Callable[[str], RunSpec]


@pytest.fixture
def make_spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MakeSpec]:
    """Return a function from a config's text to a spec; the user module is importable while the test runs."""
    (tmp_path / "widenet_code.py").write_text(CODE, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))

    def make(text: str) -> RunSpec:
        config = tmp_path / "mine.py"
        config.write_text(text, encoding="utf-8")
        return RunSpec(
            plugin="toy",
            package="toy",
            action="train",
            entry="mimctl.engine.actions:train",
            mimctl_version=__version__,
            config=str(config),
            work_dir=str(tmp_path / "work"),
            launcher=LauncherFacts(kind="none", device="cpu"),
        )

    yield make
    sys.modules.pop("widenet_code", None)
    for registry in (MODELS, HOOKS):
        for key in [key for key, value in registry._entries.items() if value.__module__ == "widenet_code"]:
            del registry._entries[key]


def errors_of(spec: RunSpec) -> list[tuple[str, str, str]]:
    """Return code, place and hints of everything that is wrong."""
    with pytest.raises(ConfigError) as caught:
        load_config(spec)
    held: Any = caught.value.details.get("errors") or [caught.value.to_dict()]
    return [(each["code"], str(each["origin"]).rpartition("/")[2], " ".join(each["hints"])) for each in held]


def test_correct_use_of_own_types_is_accepted(make_spec: MakeSpec) -> None:
    assert load_config(make_spec(GOOD)).model.width == 4


@pytest.mark.parametrize(
    ("right", "wrong", "code", "line", "near"),
    [
        ("type='WideNet'", "type='WideNett'", "unknown-type", 3, "`WideNet`"),
        ("width=4, ", "", "missing-argument", 3, "width"),
        ("width=4", "width='4'", "bad-value", 3, "without quotes"),
        ("type='CountHook'", "type='CuntHook'", "unknown-type", 4, "`CountHook`"),
        ("every=2", "evry=2", "bad-argument", 4, "`every`"),
        ("type='Letters'", "type='Leters'", "unknown-type", 5, "`Letters`"),
        ("pipeline=[]", "pipelin=[]", "bad-argument", 5, "`pipeline`"),
    ],
)
def test_a_mistake_in_using_them_is_refused_with_its_line(
    make_spec: MakeSpec, right: str, wrong: str, code: str, line: int, near: str
) -> None:
    assert right in GOOD
    found = errors_of(make_spec(GOOD.replace(right, wrong)))
    assert [each for each in found if each[:2] == (code, f"mine.py:{line}") and near in each[2]], found


def test_all_mistakes_are_told_at_once(make_spec: MakeSpec) -> None:
    found = errors_of(make_spec(GOOD.replace("every=2", "evry=2").replace("width=4", "width='4'")))
    assert {each[0] for each in found} == {"bad-argument", "bad-value"}


class Net(nn.Module):
    """A net one part of which is there only if asked for."""

    def __init__(self, *, with_extra: bool = False) -> None:
        super().__init__()
        self.stem = nn.Linear(2, 2)
        if with_extra:
            self.extra_table = nn.Linear(2, 2)


def wrapper(model: nn.Module, keys: str, put: Callable[[str], Path]) -> Any:
    text = f"optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.1),\n    paramwise_cfg=dict(custom_keys={keys}))"
    return build_optim_wrapper(model, Config.fromfile(put(text)).optim_wrapper)


@pytest.fixture
def put(tmp_path: Path) -> Callable[[str], Path]:
    def write(text: str) -> Path:
        path = tmp_path / "optim.py"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def test_a_custom_key_of_no_parameter_is_refused_where_the_optimizer_is_built(put: Callable[[str], Path]) -> None:
    with pytest.raises(ConfigError) as caught:
        wrapper(Net(), "{'stemm': dict(lr_mult=0.1)}", put)
    assert caught.value.code == "unknown-parameter"
    assert str(caught.value.origin).endswith("optim.py:2")
    assert "`stem`" in caught.value.hints[0]


def test_a_custom_key_of_a_part_that_is_switched_off_is_let_pass(put: Callable[[str], Path]) -> None:
    groups = wrapper(Net(), "{'extra_table': dict(lr_mult=0.1)}", put).optimizer.param_groups
    assert [group["lr"] for group in groups] == [0.1]

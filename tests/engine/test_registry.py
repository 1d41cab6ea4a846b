"""Registries: names, scopes, and what is refused."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from mimctl.config import Config, LazyReference
from mimctl.engine.registry import HOOKS, OPTIMIZERS, PARAM_SCHEDULERS, Registry, scope_of_module, use_scope
from mimctl.errors import ConfigError

ROOT = Path(__file__).parents[2]


class Thing:
    """Something to build."""

    def __init__(self, size: int, color: str = "red", _inner: object = None) -> None:
        self.size, self.color, self.inner = size, color, _inner


def made_in(scope_package: str, name: str = "Thing") -> type:
    """Return a class as if it were defined in a module of that package."""
    return type(name, (Thing,), {"__module__": f"{scope_package}.somewhere"})


@pytest.fixture
def things() -> Registry:
    return Registry("thing")


def test_registered_class_is_built_from_its_name(things: Registry) -> None:
    things.register_module()(Thing)
    built = things.build({"type": "Thing", "size": 3}, color="blue")
    assert (built.size, built.color) == (3, "blue")
    assert things.build({"type": "Thing", "size": 3, "color": "green"}, color="blue").color == "green"
    assert things.build({"type": Thing, "size": 1}).size == 1
    assert things.build(built) is built
    assert "Thing" in things
    assert "Other" not in things


def test_several_names_and_functions(things: Registry) -> None:
    things.register_module(name=["One", "Two"])(Thing)
    things.register_module(name="pair", module=lambda a, b: (a, b))
    assert things.get("One") is things.get("Two") is Thing
    assert things.build({"type": "pair", "a": 1, "b": 2}) == (1, 2)


def test_second_class_of_a_name_is_refused_naming_both(things: Registry) -> None:
    things.register_module(name="Thing", module=made_in("mimctl_det"))
    with pytest.raises(KeyError, match=r"mimctl_det\.somewhere\.Thing and mimctl_det\.elsewhere\.Thing"):
        things.register_module(name="Thing", module=type("Thing", (), {"__module__": "mimctl_det.elsewhere"}))
    things.register_module(name="Thing", module=type("Thing", (), {"__module__": "mimctl_det.elsewhere"}), force=True)


def test_scope_decides_between_equal_names(things: Registry) -> None:
    det, seg, vision = (made_in(package) for package in ("mimctl_det", "mimctl_seg", "mimctl.vision"))
    for each in (det, seg, vision):
        things.register_module()(each)
    assert things.get("Thing") is vision
    assert things.get("det.Thing") is det
    assert things.get("mmseg.Thing") is seg, "OpenMMLab's scopes are aliases"
    with use_scope("mmdet"):
        assert things.get("Thing") is det
        with use_scope("seg"):
            assert things.get("Thing") is seg
    assert things.get("Thing", scope="det") is det
    assert isinstance(things.build({"type": "Thing", "size": 1, "_scope_": "seg"}), seg)


def test_user_classes_come_first(things: Registry) -> None:
    own, det = made_in("my_project"), made_in("mimctl_det")
    things.register_module()(own)
    things.register_module()(det)
    with use_scope("det"):
        assert things.get("Thing") is own


def test_parts_are_built_in_the_scope_of_their_whole(things: Registry) -> None:
    inner = made_in("mimctl_seg", "Inner")
    things.register_module()(inner)

    class Whole:
        def __init__(self, part: dict[str, object]) -> None:
            self.part = things.build(part)

    Whole.__module__ = "mimctl_seg.models"
    things.register_module()(Whole)
    assert isinstance(things.build({"type": "seg.Whole", "part": {"type": "Inner", "size": 1}}).part, inner)
    with pytest.raises(ConfigError):
        things.build({"type": "Inner", "size": 1})


def test_unknown_name_shows_near_names_and_scopes(things: Registry) -> None:
    things.register_module()(made_in("mimctl.engine"))
    with pytest.raises(ConfigError) as caught:
        things.build({"type": "Thng"})
    assert caught.value.code == "unknown-type"
    assert caught.value.hints[0] == "did you mean `Thing`?"
    assert "vision, engine" in caught.value.causes[0]


def test_missing_type_is_refused(things: Registry) -> None:
    with pytest.raises(ConfigError, match="needs `type`"):
        things.build({"size": 1})


@pytest.mark.parametrize(("arguments", "hint"), [({"sise": 1}, "`size`"), ({}, "`size`, `color`")])
def test_wrong_argument_is_named(things: Registry, arguments: dict[str, int], hint: str) -> None:
    things.register_module()(Thing)
    with pytest.raises(ConfigError) as caught:
        things.build({"type": "Thing", **arguments})
    assert caught.value.code == "bad-argument"
    assert hint in caught.value.hints[0]


def test_type_error_inside_a_constructor_is_left_alone(things: Registry) -> None:
    class Broken:
        def __init__(self) -> None:
            len(3)  # type: ignore[arg-type]

    things.register_module()(Broken)
    with pytest.raises(TypeError, match="has no len"):
        things.build({"type": "Broken"})


def test_tables_import_only_the_module_that_is_asked_for() -> None:
    code = """
import sys
from mimctl.engine.registry import HOOKS
HOOKS.get("EmptyCacheHook")
print("mimctl.engine.hooks.empty_cache" in sys.modules, "mimctl.engine.loops" in sys.modules)
"""
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert found.stdout == "True False\n"


def test_names_of_the_tables_are_known_before_they_are_imported() -> None:
    assert {"EMAHook", "CheckpointHook", "PipelineSwitchHook"} <= set(HOOKS.names())


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        (LazyReference("torch.optim", "AdamW"), torch.optim.AdamW),
        (LazyReference("torch.optim.adamw", "AdamW"), torch.optim.AdamW),
    ],
)
def test_imported_type_of_a_python_config_is_looked_up(reference: LazyReference, expected: type) -> None:
    built = OPTIMIZERS.build({"type": reference, "lr": 0.1}, params=[torch.nn.Parameter(torch.zeros(1))])
    assert type(built) is expected


def test_imported_type_that_nobody_registered_is_refused() -> None:
    with pytest.raises(ConfigError, match="unknown hook"):
        HOOKS.build({"type": LazyReference("os", "system"), "command": "touch /tmp/never"})


def test_upstream_names_of_python_configs_are_ours() -> None:
    cfg = Config.fromstring(
        "from mmengine.optim.scheduler import LinearLR\nsched = dict(type=LinearLR, start_factor=0.5, end=5)", ".py"
    )
    held = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    PARAM_SCHEDULERS.build(cfg["sched"], optimizer=held)
    assert held.param_groups[0]["lr"] == 0.5


@pytest.mark.parametrize(
    ("module", "scope"),
    [("mimctl_det.models.rtmdet", "det"), ("mimctl.vision.backbones", "vision"), ("my_code.hooks", "user")],
)
def test_scope_follows_the_module(module: str, scope: str) -> None:
    assert scope_of_module(module) == scope

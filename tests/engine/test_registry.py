"""Registries: names, scopes, and what is refused."""

from __future__ import annotations

import contextvars
import importlib.util
import subprocess
import sys
import types
from pathlib import Path
from types import ModuleType

import pytest
import torch

from mimctl.config import Config, LazyReference
from mimctl.engine.data.loader import build_dataloader
from mimctl.engine.lookup.builders import build_from_cfg
from mimctl.engine.lookup.scopes import DefaultScope, current_scopes, init_default_scope, use_scope
from mimctl.engine.lookup.toolboxes import scope_of_module
from mimctl.engine.model import Sequential
from mimctl.engine.registry import HOOKS, MODELS, OPTIMIZERS, PARAM_SCHEDULERS, Registry
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


def test_second_class_of_a_name_is_refused_naming_both(things: Registry, tmp_path: Path) -> None:
    first, second = (
        import_file(tmp_path / f"{name}_net.py", "\n\nclass Net:\n    pass\n") for name in ("first", "second")
    )
    things.register_module()(first.Net)
    with pytest.raises(ConfigError, match="`Net` is registered twice as thing") as caught:
        things.register_module()(second.Net)
    assert caught.value.code == "registered-twice"
    assert caught.value.causes == (
        f"first at {tmp_path / 'first_net.py'}:3 (first_net.Net)",
        f"again at {tmp_path / 'second_net.py'}:3 (second_net.Net)",
    )
    things.register_module(force=True, module=second.Net, name="Net")
    things.register_module("Net", True)(second.Net)
    assert things.get("Net") is second.Net


def test_second_class_in_the_same_file_is_refused_but_not_a_reload(things: Registry, tmp_path: Path) -> None:
    path = tmp_path / "twice_net.py"
    module = import_file(path, "class Net:\n    pass\n")
    things.register_module()(module.Net)
    again = import_file(path, "class Net:\n    pass\n")
    things.register_module()(again.Net)
    assert things.get("Net") is again.Net
    both = import_file(path, "class Net:\n    pass\nheld = Net\nclass Net:\n    pass\n")
    things.register_module(force=True)(both.held)
    with pytest.raises(ConfigError) as caught:
        things.register_module()(both.Net)
    assert [each.rpartition(":")[2] for each in caught.value.causes] == ["1 (twice_net.Net)", "4 (twice_net.Net)"]


def import_file(path: Path, text: str) -> ModuleType:
    """Execute a source file as a module."""
    path.write_text(text, encoding="utf-8")
    importlib.invalidate_caches()
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    exec(compile(text, str(path), "exec"), module.__dict__)
    return module


@pytest.mark.parametrize("wrong", [Thing, 3, ["a", 1]])
def test_decorator_without_brackets_is_refused(things: Registry, wrong: object) -> None:
    with pytest.raises(TypeError, match="register_module"):
        things.register_module(wrong)


def test_default_args_and_a_builder_of_ones_own(things: Registry) -> None:
    things.register_module()(Thing)
    assert things.build({"type": "Thing"}, default_args={"size": 3, "color": "blue"}).color == "blue"
    assert build_from_cfg({"type": "Thing", "size": 2}, things, {"size": 1, "color": "blue"}).size == 2
    own = Registry("own", build_func=lambda cfg, registry, extra=0: (cfg, registry.name, extra))
    assert own.build(5, extra=1) == (5, "own", 1)


def test_list_of_models_becomes_a_sequence() -> None:
    built = MODELS.build([{"type": "ReLU"}, torch.nn.ReLU()])
    assert isinstance(built, Sequential)
    assert len(built) == 2


def test_registry_of_a_toolbox_is_a_view_of_the_root(things: Registry) -> None:
    alpha = Registry("thing", parent=things, scope="alpha")
    beta = Registry("thing", parent=things, locations=["beta.models"])
    other = made_in("beta_code")
    alpha.register_module()(Thing)
    beta.register_module()(other)
    things.register_module(name="OfRoot", module=made_in("mimctl.engine", "OfRoot"))
    assert (alpha.scope, beta.scope, alpha.root) == ("alpha", "beta", things)
    assert things.get("alpha.Thing") is alpha.get("Thing") is Thing
    assert things.get("beta.Thing") is beta.get("Thing") is other
    assert things.get("Thing") is None, "names of a toolbox need its scope in the root"
    assert alpha.get("OfRoot") is things.get("OfRoot")
    with use_scope("beta"):
        assert things.get("Thing") is other
    assert alpha.module_dict == {"Thing": Thing}
    assert things.children == {"alpha": alpha, "beta": beta}
    with things.switch_scope_and_registry("alpha") as switched:
        assert switched is alpha
        assert Registry.infer_scope() == "alpha"


def test_locations_are_imported_when_a_name_is_missing(
    things: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(sys.modules, "lazy_home", types.SimpleNamespace(THINGS=things))
    text = "from lazy_home import THINGS\n\n@THINGS.children['lazybox'].register_module()\nclass Late:\n    pass\n"
    (tmp_path / "lazybox_models.py").write_text(text, encoding="utf-8")
    Registry("thing", parent=things, scope="lazybox", locations=["lazybox_models"])
    assert "lazybox_models" not in sys.modules
    assert things.get("lazybox.Late").__name__ == "Late"


def test_imported_type_of_user_code_never_becomes_a_name_of_the_engine() -> None:
    with pytest.raises(ConfigError, match="unknown hook"):
        HOOKS.build({"type": LazyReference("my_code.hooks", "EMAHook")})


def test_default_scope_in_the_words_of_mmengine() -> None:
    assert DefaultScope.get_current_instance() is None
    with DefaultScope.overwrite_default_scope("mmdet"):
        held = DefaultScope.get_current_instance()
        assert held is not None
        assert held.scope_name == "det"
    contextvars.copy_context().run(lambda: (init_default_scope("seg"), DefaultScope.get_current_instance()))
    assert DefaultScope.get_current_instance() is None, "other contexts are not touched"


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_workers_of_a_dataloader_keep_the_scope(method: str) -> None:
    with use_scope("mmdet"):
        loader = build_dataloader(
            {
                "dataset": ScopeOfEach(),
                "sampler": {"type": "DefaultSampler", "shuffle": False},
                "batch_size": 1,
                "num_workers": 1,
                "multiprocessing_context": method,
            },
            seed=0,
        )
    assert list(loader) == [(["det"],), (["det"],)]


class ScopeOfEach(torch.utils.data.Dataset[object]):
    """Samples that say in which scope they were made."""

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> object:
        return current_scopes()


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
print("mimctl.engine.hooks.empty_cache" in sys.modules, "mimctl.engine.running.loops" in sys.modules)
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

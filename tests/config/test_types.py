"""Type tables: read off source text, and the checked-in ones are what the source says."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mimctl.config.outside.collect import lacking, merged, read, to_stub
from mimctl.config.types import generate, is_fresh, main

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = [
    ROOT / "mimctl" / "engine",
    ROOT / "mimctl" / "vision",
    *(path for path in sorted(ROOT.glob("plugins/*/mimctl_*")) if (path / "plugin.toml").is_file()),
]

Put = Callable[[str, str], Path]


@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: path.name)
def test_the_stored_table_is_what_the_source_says(package: Path) -> None:
    assert is_fresh(package), f"run `python -m mimctl.config.types {package.relative_to(ROOT)}`"


def test_the_stubs_of_torch_take_all_that_the_installed_torch_takes() -> None:
    spec = importlib.util.find_spec("torch")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("there is no torch to compare with")
    folder = Path(spec.submodule_search_locations[0])
    missing = lacking(folder)
    assert missing == [], f"run `python -m mimctl.config.outside.collect FOLDER… {folder}`, the oldest torch first"


def torch_of(folder: Path, optim: str) -> Path:
    """Write the source of a torch that has only what `optim` says, and return its folder."""
    for name, text in (
        ("__init__", ""),
        ("nn/__init__", ""),
        ("nn/modules/__init__", ""),
        ("nn/parallel/__init__", ""),
        ("utils/__init__", ""),
        ("utils/data/__init__", ""),
        ("optim/__init__", "from torch.optim.sgd import SGD as SGD\n"),
        ("optim/sgd", optim),
    ):
        path = folder / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


def test_stubs_hold_for_every_version_they_are_made_of(tmp_path: Path) -> None:
    old = torch_of(tmp_path / "old", "class SGD:\n    def __init__(self, params, lr: float, gone=1): pass\n")
    new = torch_of(tmp_path / "new", "class SGD:\n    def __init__(self, params, lr: float = 0.1, fresh=1): pass\n")
    text = to_stub("torch.optim", merged([read(old), read(new)])["torch.optim"])
    assert "class SGD(Optimizer):" in text
    assert "def __init__(self, params, lr: float = ..., fresh = 1, *, gone = 1) -> None: ..." in text
    newer = torch_of(tmp_path / "newer", "class SGD:\n    def __init__(self, params, brand_new=1): pass\n")
    assert "torch.optim.SGD(brand_new)" in lacking(newer)


def test_no_table_depends_on_the_torch_at_hand(put: Put, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "import torch.optim\nfrom torch import nn\n@MODELS.register_module()\nclass A(nn.Conv2d): pass\n"
    text += "MODELS.register_module(name='S', module=torch.optim.SGD)\n"
    before = table(put, text)
    monkeypatch.syspath_prepend(str(torch_of(tmp_path / "other" / "torch", "class SGD:\n    pass\n").parent))
    assert table(put, text) == before
    assert {"in_channels", "kernel_size"} <= set(before["model"]["A"]["params"])
    assert before["model"]["S"]["params"]["lr"]["type"] == "float"


def test_values_and_facts_are_read_off_the_source(put: Put) -> None:
    text = (
        "from collections.abc import Sequence\nfrom typing import Literal\n"
        "from mimctl.engine.registry import DATASETS\n"
        "Size = tuple[int, int]\nNAMES = ('a', 'b', 'c')\n"
        "@MODELS.register_module()\nclass A:\n"
        "    def __init__(self, a: int, b: 'float | None' = None, c: Size | int = 1, d: Literal['x', 'y'] = 'x',\n"
        "                 e: Sequence[str] = (), f: dict[str, int] = {}, g: Base = None, h: list = None, i=3):\n"
        "        self.stem = a\n        self.add_module(f'stage{a}', b)\n"
        "@DATASETS.register_module()\nclass D:\n    METAINFO = dict(classes=NAMES)\n"
        "    def load_data_list(self):\n        return open(self.ann_file)\n"
    )
    put("mimctl_x/basis.py", "class Base: pass\n")
    kinds = table(put, text)
    types = {name: facts.get("type") for name, facts in kinds["model"]["A"]["params"].items()}
    assert types == {
        "a": "int",
        "b": "float | None",
        "c": "tuple[int, int] | int",
        "d": "Literal['x', 'y']",
        "e": "Sequence[str]",
        "f": "dict",
        "g": None,
        "h": "Sequence | None",
        "i": None,
    }
    assert kinds["model"]["A"]["params"]["i"] == {"required": False, "default": 3}
    assert (kinds["dataset"]["D"]["num_classes"], kinds["dataset"]["D"]["needs"]) == (3, ["ann_file"])
    held = generate(put("mimctl_x/e.py", "").parent)["modules"]["mimctl_x.m"]
    assert {"stem", "stage*"} <= set(held["names"].split())


def test_a_dataset_that_asks_for_its_annotation_file_does_not_need_it(put: Put) -> None:
    loads = "        return read(self.ann_file) if self.ann_file else walk(self.data_root)\n"
    text = (
        HEADER.replace("MODELS", "DATASETS") + "@DATASETS.register_module()\nclass D:\n    def load_data_list(self):\n"
    )
    assert table(put, text + loads)["dataset"]["D"].get("needs") is None
    assert table(put, text + "        return read(self.ann_file)\n")["dataset"]["D"]["needs"] == ["ann_file"]


HEADER = "from mimctl.engine.registry import MODELS, HOOKS as H\nimport other.base as ob\nfrom .basis import Base\n"


def table(put: Put, text: str, **files: str) -> dict[str, Any]:
    """Return the kinds of a package `mimctl_x` with one module `m` and further modules."""
    put("mimctl_x/__init__.py", "")
    put("mimctl_x/m.py", HEADER + text)
    for name, content in files.items():
        path = put(f"mimctl_x/{name}.py", content)
    made = generate(path.parent if files else put("mimctl_x/e.py", "").parent)
    assert (made["package"], made["scope"], made["schema_version"]) == ("mimctl_x", "x", 1)
    kinds: dict[str, Any] = made["kinds"]
    return kinds


def params(entry: dict[str, Any]) -> dict[str, bool]:
    return {name: facts["required"] for name, facts in entry["params"].items()}


def test_every_form_of_registration_is_found(put: Put) -> None:
    kinds = table(
        put,
        "@MODELS.register_module()\nclass A:\n    def __init__(self, a, b=1, *, c, d=2): pass\n"
        "@H.register_module(name=['B', 'C'])\nclass X: pass\n"
        "@MODELS.register_module('D', force=True)\ndef make(x, y=1): pass\n"
        "@other.register_module()\nclass NotOurs: pass\n"
        "MODELS.register_module(name='F', module=Base)\n",
        basis="class Base:\n    def __init__(self, z): pass\n",
    )
    assert {kind: sorted(names) for kind, names in kinds.items()} == {"model": ["A", "D", "F"], "hook": ["B", "C"]}
    assert params(kinds["model"]["A"]) == {"a": True, "b": False, "c": True, "d": False}
    assert params(kinds["model"]["D"]) == {"x": True, "y": False}
    assert params(kinds["model"]["F"]) == {"z": True}
    assert kinds["hook"]["B"] == {"module": "mimctl_x.m", "params": {}, "extra": False}


def test_arguments_passed_on_are_followed_through_the_bases(put: Put) -> None:
    kinds = table(
        put,
        "@MODELS.register_module()\nclass A(Base):\n"
        "    def __init__(self, a, *args, flag=True, **kwargs):\n"
        "        self.late = kwargs.pop('late', 1)\n"
        "        super().__init__(*args, size=3, **kwargs)\n",
        basis="class Root:\n    def __init__(self, init_cfg=None): pass\n"
        "class Base(Root):\n    def __init__(self, first, size, mode='x', **kwargs):\n"
        "        super().__init__(**kwargs)\n",
    )
    assert params(kinds["model"]["A"]) == {
        "a": True, "flag": False, "late": False, "first": True, "mode": False, "init_cfg": False
    }  # fmt: skip
    assert kinds["model"]["A"]["extra"] is False


def test_arguments_that_go_elsewhere_or_to_unknown_bases_leave_the_type_open(put: Put) -> None:
    kinds = table(
        put,
        "@MODELS.register_module()\nclass Open:\n    def __init__(self, a, **kwargs):\n        self.kw = kwargs\n"
        "@MODELS.register_module()\nclass Unknown(ob.Thing): pass\n"
        "@MODELS.register_module()\nclass Passed(ob.Thing):\n"
        "    def __init__(self, a, **kw):\n        super().__init__(**kw)\n"
        "@MODELS.register_module()\nclass Own(ob.Thing):\n    def __init__(self, a): pass\n",
    )
    assert {name: entry["extra"] for name, entry in kinds["model"].items()} == {
        "Open": True, "Unknown": True, "Passed": True, "Own": False
    }  # fmt: skip


def test_several_bases_are_followed_in_resolution_order(put: Put) -> None:
    kinds = table(
        put,
        "from .basis import Left, Right\n@MODELS.register_module()\nclass A(Left, Right): pass\n",
        basis="class Base:\n    def __init__(self, base=1): pass\n"
        "class Left(Base):\n    def __init__(self, left=1, **kw):\n        super().__init__(**kw)\n"
        "class Right(Base):\n    def __init__(self, right=1, **kw):\n        super().__init__(**kw)\n",
    )
    assert list(params(kinds["model"]["A"])) == ["left", "right", "base"]


def test_a_dataclass_takes_its_fields(put: Put) -> None:
    kinds = table(
        put,
        "from dataclasses import dataclass\n@MODELS.register_module()\n@dataclass(frozen=True)\nclass A:\n"
        "    a: int\n    b: int = 2\n",
    )
    assert params(kinds["model"]["A"]) == {"a": True, "b": False}


def test_a_name_registered_in_two_modules_is_an_error(put: Put) -> None:
    text = "from mimctl.engine.registry import MODELS\n@MODELS.register_module()\nclass A: pass\n"
    with pytest.raises(ValueError, match="registered in mimctl_x"):
        table(put, "@MODELS.register_module()\nclass A: pass\n", n=text)


def test_the_command_writes_and_checks_and_imports_nothing_heavy(put: Put, capsys: pytest.CaptureFixture[str]) -> None:
    put("mimctl_x/__init__.py", "raise SystemExit('imported')")
    module = put("mimctl_x/m.py", HEADER + "@MODELS.register_module()\nclass A: pass\n")
    folder = str(module.parent)
    assert main([folder, "--check"]) == 1
    assert main([folder]) == 0
    assert main([folder, "--check"]) == 0
    module.write_text(module.read_text() + "@MODELS.register_module()\nclass B: pass\n")
    assert main([folder, "--check"]) == 1
    assert "is stale" in capsys.readouterr().err
    code = f"import sys; from mimctl.config.types import main; main([{folder!r}]); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)

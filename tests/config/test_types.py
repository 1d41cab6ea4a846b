"""Type tables: read off source text, and the checked-in ones are what the source says."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

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
    if importlib.util.find_spec("torch") is None:
        pytest.skip("signatures of torch's own classes are read off an installed torch")
    assert is_fresh(package), f"run `python -m mimctl.config.types {package.relative_to(ROOT)}`"


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

"""The names that people know: each can be imported, cheaply, and the stubs say so."""

from __future__ import annotations

import importlib
import subprocess
import sys
from importlib.util import find_spec

import pytest

from mimctl.names import EXPORTS
from tests.contracts.name_stubs import path_of, stub_of


@pytest.mark.parametrize("package", EXPORTS)
def test_every_name_is_there(package: str) -> None:
    module = importlib.import_module(package)
    assert set(EXPORTS[package]) <= set(dir(module))
    for name, home in EXPORTS[package].items():
        if home == "mimctl.vision.ops" and name not in ("batched_nms", "nms") and find_spec("mimctl_ops") is None:
            continue  # operators without a loop of their own in mimctl.vision
        assert getattr(module, name) is getattr(importlib.import_module(home), name)


@pytest.mark.parametrize("package", EXPORTS)
def test_no_name_hides_a_submodule(package: str) -> None:
    folder = path_of(package).parent
    submodules = {each.stem for each in folder.glob("*.py")} | {each.name for each in folder.iterdir() if each.is_dir()}
    assert not submodules & set(EXPORTS[package])


@pytest.mark.parametrize("package", EXPORTS)
def test_stub_says_what_the_table_says(package: str) -> None:
    assert path_of(package).read_text(encoding="utf-8") == stub_of(package), "run tests/contracts/name_stubs.py"


def test_packages_import_nothing_until_a_name_is_used() -> None:
    code = "import sys, mimctl.engine, mimctl.vision; print(sorted({'torch', 'numpy', 'yaml'} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "[]\n"


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(ImportError, match="BaseModul"):
        exec("from mimctl.engine import BaseModul")

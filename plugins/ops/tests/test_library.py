"""Which tier serves, and that an unusable library is never silent. Each case runs in a process of its own."""

from __future__ import annotations

import inspect
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import mimctl_ops

COMPILED = mimctl_ops.status().tier == "compiled"
USE = """
import torch, mimctl_ops
print(mimctl_ops.status().tier, flush=True)
print(mimctl_ops.nms(torch.eye(4), torch.ones(4), 0.5)[1].tolist())
"""


def run(folder: Path, code: str = USE, **environment: str) -> subprocess.CompletedProcess[str]:
    env = {key: value for key, value in os.environ.items() if key != "MIMCTL_OPS"}
    env |= {"PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1", **environment}
    return subprocess.run([sys.executable, "-P", "-c", code], env=env, capture_output=True, text=True, check=False)


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """Return a folder with a copy of the package under test."""
    source = Path(mimctl_ops.__file__).parent
    shutil.copytree(source, tmp_path / "mimctl_ops", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def change_facts(package: Path, **facts: str) -> None:
    path = package / "mimctl_ops" / "build.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **facts}))


def pretend_library(package: Path, source: str, *flags: str) -> None:
    compiler = shutil.which("g++")
    if compiler is None:
        pytest.skip("no C++ compiler")
    target = package / "mimctl_ops" / "_mimctl_ops.so"
    target.unlink(missing_ok=True)
    change_facts(package, backend="cpu")
    argv = [compiler, "-shared", "-fPIC", "-o", str(target), *flags, "-x", "c++", "-"]
    subprocess.run(argv, input=source, text=True, check=True)


def test_status_names_the_build() -> None:
    found = mimctl_ops.status()
    assert (found.error, found.hint) == (None, None)
    assert found.torch == torch.__version__
    if COMPILED:
        assert re.fullmatch(r"cpu|cu\d+", found.backend)
        assert (found.cuda is None) == (found.backend == "cpu")
        assert found.min_torch == "2.10"
        assert found.torch_headers is not None
        assert found.compiler is not None
        assert found.library is not None
        assert Path(found.library).is_file()
    else:
        assert found.tier == "python"


def test_status_names_every_operator() -> None:
    folder = Path(mimctl_ops.__file__).parent / "ops"
    assert mimctl_ops.status().ops == tuple(sorted(path.stem for path in folder.glob("[!_]*.py")))


def test_every_operator_has_a_twin_of_its_signature() -> None:
    for name in mimctl_ops.reference.__all__:
        ours, twin = getattr(mimctl_ops, name), getattr(mimctl_ops.reference, name)
        assert inspect.signature(ours) == inspect.signature(twin), name


def test_the_command_prints_the_status(package: Path) -> None:
    done = run(package, "import runpy; runpy.run_module('mimctl_ops', run_name='__main__')")
    assert json.loads(done.stdout)["ops"] == list(mimctl_ops.status().ops)


def test_a_missing_symbol_is_named_at_first_use_not_at_import(package: Path) -> None:
    pretend_library(package, "extern int torch_from_the_future(); int here = torch_from_the_future();")
    done = run(package)
    assert done.returncode == 1
    assert done.stdout == "failed\n"
    assert "OpsLoadError" in done.stderr
    assert "symbol `_Z21torch_from_the_futurev` is missing from the installed torch" in done.stderr
    assert re.search(r"install mimctl_ops-\S+\.whl: `mimctl install mimctl-ops`", done.stderr)


def test_every_operator_raises_while_the_library_cannot_be_loaded(package: Path) -> None:
    pretend_library(package, "extern int torch_from_the_future(); int here = torch_from_the_future();")
    done = run(
        package,
        """
import torch, mimctl_ops
x = torch.zeros(2, 3, requires_grad=True)
try:
    mimctl_ops.sigmoid_focal_loss(x, torch.zeros(2, dtype=torch.int64))
except mimctl_ops.OpsLoadError as err:
    print("refused")
print(mimctl_ops.reference.sigmoid_focal_loss(x, torch.zeros(2, dtype=torch.int64)).requires_grad)
""",
    )
    assert (done.returncode, done.stdout) == (0, "refused\nTrue\n"), done.stderr


def test_an_absent_library_is_named(package: Path, tmp_path: Path) -> None:
    pretend_library(package, "int x;")
    absent = tmp_path / "libabsent.so.7"
    library = package / "mimctl_ops" / "_mimctl_ops.so"
    library.rename(absent)
    pretend_library(package, "int y;", "-Wl,--no-as-needed", str(absent), "-Wl,-soname,x")
    absent.unlink()
    done = run(package)
    assert done.returncode == 1
    assert "libabsent.so.7` is missing" in done.stderr


def test_a_damaged_library_is_an_error(package: Path) -> None:
    change_facts(package, backend="cpu")
    (package / "mimctl_ops" / "_mimctl_ops.so").write_bytes(b"no library at all")
    done = run(package)
    assert done.stdout == "failed\n"
    assert "invalid ELF header" in done.stderr or "file too short" in done.stderr


def test_a_torch_older_than_the_library_needs_is_an_error_with_the_pure_wheel_as_hint(package: Path) -> None:
    pretend_library(package, "int x;")
    change_facts(package, backend="cpu", min_torch="99.0")
    done = run(package)
    assert done.stdout == "failed\n"
    assert "is older than 99.0" in done.stderr
    assert re.search(r"install mimctl_ops-\S+-py3-none-any\.whl", done.stderr)


def test_python_is_served_where_it_is_asked_for_even_beside_a_damaged_library(package: Path) -> None:
    change_facts(package, backend="cpu")
    (package / "mimctl_ops" / "_mimctl_ops.so").write_bytes(b"no library at all")
    done = run(package, MIMCTL_OPS="python")
    assert (done.returncode, done.stdout, done.stderr) == (0, "python\n[0, 1, 2, 3]\n", "")


def test_any_other_wish_is_an_error(package: Path) -> None:
    done = run(package, MIMCTL_OPS="pyhton")
    assert done.stdout == "failed\n"
    assert "MIMCTL_OPS is `pyhton`" in done.stderr


@pytest.mark.skipif(not COMPILED, reason="about a compiled build")
def test_a_compiled_build_that_lost_its_library_is_an_error(package: Path) -> None:
    (package / "mimctl_ops" / "_mimctl_ops.so").unlink()
    done = run(package)
    assert done.stdout == "failed\n"
    assert "the library `_mimctl_ops.so` of this" in done.stderr


def test_a_build_without_a_library_serves_pure_pytorch(package: Path) -> None:
    (package / "mimctl_ops" / "_mimctl_ops.so").unlink(missing_ok=True)
    change_facts(package, backend="python")
    done = run(package)
    assert (done.returncode, done.stdout, done.stderr) == (0, "python\n[0, 1, 2, 3]\n", "")


@pytest.mark.skipif(not COMPILED, reason="about devices that a compiled build has no kernel for")
def test_a_device_without_compiled_code_is_served_with_one_warning(package: Path) -> None:
    code = """
import torch, mimctl_ops
from mimctl_ops import registration
kernel = registration._kernel("nms", lambda boxes: "served")
print(kernel(torch.empty(1, device="meta")), kernel(torch.empty(1, device="meta")))
"""
    done = run(package, code)
    assert done.stdout == "served served\n"
    assert done.stderr.count("OpsTierWarning") == 1
    assert "no compiled operators for `meta`" in done.stderr

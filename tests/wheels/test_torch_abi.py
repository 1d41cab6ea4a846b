"""What torch-abi-audit says of a wheel: weighed against what the wheel says, and never left out in silence."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tiny_elf import SHIM, elf_library
from tiny_wheels import write_wheel

from mimctl.errors import MimctlError, UsageError
from mimctl.wheels import build_environment
from mimctl.wheels import torch_abi as module
from mimctl.wheels.audits import audit_wheels

CPU = {"backend": "cpu", "min_torch": "2.10", "archs": [], "ptx": []}
GOOD = {
    "uses_torch": True,
    "stable": True,
    "unstable_symbols": [],
    "stable_shim_count": 1,
    "min_torch_version": "2.10.0",
    "version_defining_symbols": ["torch_call_dispatcher"],
    "unknown_shim_symbols": [],
}


def wheel(folder: Path, name: str = "mimctl_ops-0.1.0-py3-none-manylinux_2_28_x86_64.whl") -> Path:
    extra = {"mimctl_ops/_mimctl_ops.so": elf_library(undefined={SHIM: None})}
    return write_wheel(folder, name, metadata="Requires-Dist: torch>=2.10", build=CPU, extra=extra)


@pytest.fixture
def tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Put a program in the place of torch-abi-audit that says of every library what a test wants."""

    def says(verdict: dict[str, object], code: int = 0) -> None:
        place = tmp_path / "env/bin"
        place.mkdir(parents=True)
        program = f"""#!{sys.executable}
import json, pathlib, sys
found = sorted(pathlib.Path(sys.argv[-1]).rglob("*.so"))
rows = [{{"path": str(each), "error": None, "torch": json.loads({json.dumps(json.dumps(verdict))})}} for each in found]
print(json.dumps({{"extensions": [], "bundled_libs": rows}}))
sys.exit({code})
"""
        (place / "torch-abi-audit").write_text(program, encoding="utf-8")
        (place / "torch-abi-audit").chmod(0o755)
        monkeypatch.setattr(module, "_environment", lambda *_: place / "python")

    return says


def audit(path: Path, folder: Path):
    return audit_wheels([path], with_torch_abi=True, cache_dir=folder / "cache")


def test_the_oldest_torch_comes_with_the_functions_that_decide_it(tmp_path: Path, tool) -> None:
    tool(GOOD)
    (found,) = audit(wheel(tmp_path), tmp_path)
    assert found.torch_abi is not None
    assert (found.torch_abi.min_torch, found.torch_abi.defining) == ("2.10.0", ("torch_call_dispatcher",))
    assert found.to_dict()["torch_abi"] == {
        "tool": "torch-abi-audit==0.3.0",
        "min_torch": "2.10.0",
        "defining": ("torch_call_dispatcher",),
    }


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        (
            {"min_torch_version": "2.11.0"},
            "says torch >= 2.10, but torch 2.11.0 is the first with torch_call_dispatcher",
        ),
        ({"unstable_symbols": ["at::Tensor::sum"], "stable": False}, "needs the unstable symbol at::Tensor::sum"),
        ({"unknown_shim_symbols": ["torch_new"]}, "calls torch_new, which is in no torch that is known"),
        ({"stable_shim_count": 0}, "calls 1 functions of torch, torch-abi-audit sees 0"),
    ],
)
def test_a_surprise_is_refused(tmp_path: Path, tool, change: dict[str, object], cause: str) -> None:
    tool({**GOOD, **change})
    with pytest.raises(MimctlError) as caught:
        audit(wheel(tmp_path), tmp_path)
    assert caught.value.code == "wheel-audit"
    assert any(cause in each for each in caught.value.causes), caught.value.causes


def test_an_older_torch_than_the_wheel_asks_for_is_no_surprise(tmp_path: Path, tool) -> None:
    tool({**GOOD, "min_torch_version": "2.9.0", "version_defining_symbols": []})
    assert audit(wheel(tmp_path), tmp_path)[0].torch_abi.min_torch == "2.9.0"


def test_a_tool_that_does_not_work_is_an_error_that_says_how_to_do_without(tmp_path: Path, tool) -> None:
    tool(GOOD, code=2)
    with pytest.raises(MimctlError) as caught:
        audit(wheel(tmp_path), tmp_path)
    assert caught.value.code == "build-environment"
    assert any("--no-torch-abi" in hint for hint in caught.value.hints)


def test_a_tool_that_cannot_be_had_is_an_error_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_network(argv: list[str], message: str, *_: object) -> None:
        raise MimctlError(message, code="build-environment", causes=[f"{argv[-1]}: no route to host"])

    monkeypatch.setattr(build_environment, "_run", no_network)
    path = wheel(tmp_path)
    with pytest.raises(MimctlError) as caught:
        audit(path, tmp_path)
    assert caught.value.code == "build-environment"
    assert "torch-abi-audit is needed" in caught.value.message
    assert any("--no-torch-abi" in hint for hint in caught.value.hints)
    (found,) = audit_wheels([path], with_torch_abi=False, cache_dir=tmp_path / "cache")
    assert found.torch_abi is None


def test_all_wheels_are_looked_at_before_any_is_refused(tmp_path: Path) -> None:
    wheel(tmp_path)
    wheel(tmp_path, "mimctl_ops-0.1.0-py3-none-linux_x86_64.whl")
    (tmp_path / "broken-1.0-py3-none-any.whl").write_bytes(b"no zip")
    with pytest.raises(MimctlError, match="2 of 3 wheels") as caught:
        audit_wheels([tmp_path], with_torch_abi=False, cache_dir=tmp_path / "cache")
    assert len(caught.value.details["wheels"]) == 3
    assert caught.value.causes[0].startswith("broken-1.0-py3-none-any.whl: ")
    with pytest.raises(UsageError) as missing:
        audit_wheels([tmp_path / "none"], with_torch_abi=False, cache_dir=tmp_path)
    assert missing.value.code == "no-wheels"


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="needs a C++ compiler")
def test_the_tool_itself_agrees_on_a_library_that_calls_torch(tmp_path: Path) -> None:
    source = f'extern "C" int {SHIM}(void*, long*); long f(void* x) {{ long n; {SHIM}(x, &n); return n; }}'
    argv = ["g++", "-shared", "-fPIC", "-o", str(tmp_path / "ops.so"), "-x", "c++", "-"]
    subprocess.run(argv, input=source, text=True, check=True)
    path = write_wheel(
        tmp_path,
        f"mimctl_ops-0.1.0-py3-none-manylinux_2_99_{os.uname().machine}.whl",
        metadata="Requires-Dist: torch>=2.10",
        build=CPU,
        extra={"mimctl_ops/_mimctl_ops.so": (tmp_path / "ops.so").read_bytes()},
    )
    try:
        (found,) = audit(path, tmp_path)
    except MimctlError as err:
        if err.code == "build-environment":
            pytest.skip("torch-abi-audit cannot be installed here")
        raise
    assert found.torch_abi is not None
    assert found.torch_abi.min_torch == "2.9.0"

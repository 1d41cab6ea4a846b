"""Failures that people know from other installers, on the command line: no build that cannot run is ever planned.

ROCm, XPU and Metal given the page for the CPU; an A100 given a build without code for it; a driver and a GPU that
nobody looked at.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

MANYLINUX = "py3-none-manylinux_2_17_x86_64"
NO_A100 = {"archs": ["7.5", "8.6", "9.0", "12.0"], "ptx": ["12.0"], "min_driver": "580", "toolkit": "13.0"}
ASK = "compiled builds exist for this platform; ask for this one with `--variant python`"


def entry(backend: str, tag: str = MANYLINUX, **build: object) -> dict[str, object]:
    version = f"0.3.0+{backend}"
    name = f"mimctl_ops-{version}-{tag}.whl"
    facts = {"project": "mimctl-ops", "filename": name, "url": f"files/{name}", "sha256": "0" * 64, "version": version}
    return {**facts, "tags": [tag], "build": {"backend": backend, "min_torch": "2.10", **build}}


@pytest.fixture
def index(tmp_path: Path) -> Path:
    """Return an index with builds for the CPU and for CUDA 13, and a pure one."""
    files = [entry("cpu"), entry("cu13", **NO_A100), entry("python", "py3-none-any")]
    folder = tmp_path / "index"
    folder.mkdir()
    document = {"schema_version": 1, "files": files, "torch": {"verified": "2.13.0"}}
    (folder / "index.json").write_text(json.dumps(document))
    return folder


@pytest.fixture
def plan(mimctl, index, tmp_path):
    """Return what a dry run says on a machine with a made torch, driver and GPU."""
    folder = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    site = next(folder.glob("lib/python*/site-packages"))
    (site / "pip-26.0.dist-info").mkdir()
    (site / "torch").mkdir()

    def run(version_file: str, *options: str, smi: str | None = None, **environ: str):
        (site / "torch/version.py").write_text(version_file)
        version = version_file.split("'")[1]
        (site / f"torch-{version}.dist-info").mkdir(exist_ok=True)
        if smi is not None:
            commands = tmp_path / "commands"
            commands.mkdir(exist_ok=True)
            (commands / "nvidia-smi").write_text(f"#!/bin/sh\necho '{smi}'\n")
            (commands / "nvidia-smi").chmod(0o755)
            environ["PATH"] = f"{commands}:/usr/bin:/bin"
        arguments = ("install", "mimctl-ops", "--dry-run", "--json", "--index", index, "--python", folder, *options)
        said = mimctl(*arguments, env=environ)
        return said.code, json.loads(said.out)

    return run


def smi(driver: str, capability: str, name: str) -> str:
    return f"0, GPU-aaa, {driver}, {capability}, 81559, Disabled, {name}"


CUDA = "__version__ = '2.13.0+cu130'\ncuda = '13.0'\n"
CUDA_12 = "__version__ = '2.13.0+cu126'\ncuda = '12.6'\n"
CPU = "__version__ = '2.13.0+cpu'\ncuda = None\n"
ROCM = "__version__ = '2.13.0+rocm6.4'\ncuda = None\nhip = '6.4.43482'\n"
XPU = "__version__ = '2.13.0+xpu'\ncuda = None\nhip = None\nxpu = '20250302'\n"

TAKEN = {
    "an H100": (CUDA, smi("580.65.06", "9.0", "NVIDIA H100"), "0.3.0+cu13"),
    "an RTX 4090": (CUDA, smi("580.65.06", "8.9", "NVIDIA GeForce RTX 4090"), "0.3.0+cu13"),
    "a torch for CUDA 12, a driver for both": (CUDA_12, smi("580.65.06", "9.0", "NVIDIA H100"), "0.3.0+cu13"),
    "a torch for the CPU": (CPU, smi("580.65.06", "8.0", "NVIDIA A100"), "0.3.0+cpu"),
}


@pytest.mark.parametrize("name", TAKEN)
def test_the_build_that_runs_is_planned(plan, name):
    torch, said, version = TAKEN[name]
    code, document = plan(torch, smi=said)
    assert code == 0
    assert [(each["name"], each["version"]) for each in document["changes"]] == [("mimctl-ops", version)]


REFUSED = {
    "an A100 that the build has no code for": (
        CUDA,
        smi("580.65.06", "8.0", "NVIDIA A100-SXM4-80GB"),
        {"cu13": "no code for compute capability 8.0 (NVIDIA A100-SXM4-80GB); it has 7.5, 8.6, 9.0, 12.0, PTX 12.0"},
    ),
    "a driver that is too old": (
        CUDA,
        smi("550.54.14", "9.0", "NVIDIA H100"),
        {"cu13": "needs NVIDIA driver >= 580, found 550.54.14"},
    ),
    "a GPU is there, and the CPU's build is no answer": (
        CUDA,
        smi("580.65.06", "7.0", "Tesla V100"),
        {"cpu": "no CUDA code, torch is a CUDA 13.0 build and this machine has a GPU driver", "python": ASK},
    ),
    "ROCm": (ROCM, None, {"cpu": "no ROCm code, torch is built for ROCm (2.13.0+rocm6.4)", "python": ASK}),
    "XPU": (XPU, None, {"cpu": "no XPU code, torch is built for XPU (2.13.0+xpu)", "python": ASK}),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_run_is_refused_before_anything_changes(plan, name):
    torch, said, reasons = REFUSED[name]
    code, document = plan(torch, smi=said)
    assert (code, document["error"]["code"]) == (3, "no-compatible-wheel")
    candidates = document["error"]["details"]["candidates"]
    found = {each["file"].split("+")[1].split("-")[0]: each["reason"] for each in candidates}
    assert {backend: found[backend] for backend in reasons} == reasons
    assert any("--variant python" in hint for hint in document["error"]["hints"])


@pytest.mark.parametrize("torch", [ROCM, XPU])
def test_what_is_asked_for_by_name_is_given(plan, torch):
    code, document = plan(torch, "--variant", "python")
    assert (code, document["changes"][0]["version"]) == (0, "0.3.0+python")


@pytest.mark.parametrize(("driver", "name"), [("rocm", "ROCm"), ("xpu", "XPU")])
def test_no_torch_for_the_cpu_joins_unasked_where_another_makers_gpu_is(mimctl, index, interpreter, driver, name):
    said = mimctl("install", "mimctl-ops", "--dry-run", "--index", index, env={"MIMCTL_DRIVER": driver})
    assert said.code == 3
    assert f"error[no-torch-build]: no build of torch is chosen by itself on {name}" in said.err

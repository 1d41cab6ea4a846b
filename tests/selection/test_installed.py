"""The operators that are installed are judged by the rules that choose among those of an index."""

from __future__ import annotations

from pathlib import Path

import pytest
from made_environment import make_env, make_file

from mimctl.environment.installed import Ops
from mimctl.selection.installed import builds_to_choose_from, is_installed, why_second_best, why_unfit

GPU = {"torch": "2.13.0+cu130", "driver": "580.65", "gpus": ("9.0",)}
CU13 = {"backend": "cu13", "min_torch": "2.10", "min_driver": "580", "archs": ("7.5", "9.0")}
NO_CUDA_CODE = "no CUDA code, torch is a CUDA 13.0 build and this machine has a GPU driver"

NO_DRIVER = "built for CUDA 13, torch is built for CUDA 12.6, and no NVIDIA driver here says whether it is >= 580"


def make_ops(version="0.1.0", **facts):
    return Ops(version=version, path=Path("/venv/lib/mimctl_ops"), **facts)


@pytest.mark.parametrize(
    ("env", "ops", "reason"),
    [
        ({}, {"backend": "cpu", "min_torch": "2.10"}, None),
        (GPU, CU13, None),
        (GPU, {"backend": "cpu", "min_torch": "2.10"}, NO_CUDA_CODE),
        (GPU, {"backend": "cu12"}, None),
        ({**GPU, "torch": "2.13.0+cu126", "driver": None}, CU13, NO_DRIVER),
        ({**GPU, "driver": "550.54"}, CU13, "needs NVIDIA driver >= 580, found 550.54"),
        ({**GPU, "gpus": ("7.0",)}, CU13, "no code for compute capability 7.0 (GPU); it has 7.5, 9.0"),
        ({"torch": "2.9.0"}, {"backend": "cpu", "min_torch": "2.10"}, "needs torch >= 2.10, found 2.9.0"),
        ({"torch": "2.16.0"}, {"backend": "cpu", "max_torch": "2.15"}, "works up to torch 2.15, found 2.16.0"),
        (GPU, {"backend": "python", "min_torch": "2.6"}, None),
        ({}, {"backend": None}, None),
    ],
)
def test_why_the_installed_build_does_not_suit(env, ops, reason):
    assert why_unfit(make_env(**env, ops=make_ops(**ops))) == reason


def test_nothing_installed_is_not_unfit():
    assert why_unfit(make_env()) is None
    assert why_second_best(make_env()) is None


def test_another_cuda_major_than_torchs_serves_and_is_second_best():
    there = make_env(**GPU, ops=make_ops(backend="cu12"))
    assert why_second_best(there).startswith("built for CUDA 12, torch is built for CUDA 13.0: both run on this driver")
    assert why_second_best(make_env(**GPU, ops=make_ops(backend="cu13"))) is None
    assert why_second_best(make_env(ops=make_ops(backend="cu13"))) is None


def test_the_builds_of_the_installed_version_are_chosen_among():
    files = [make_file(text) for text in ("0.1.0+cpu cpu x86", "0.1.0 python any", "0.2.0+cpu cpu x86")]
    there = make_env(ops=make_ops("0.1.0+cu13", backend="cu13"))
    assert [file.version for file in builds_to_choose_from(there, files)] == ["0.1.0+cpu", "0.1.0"]
    assert len(builds_to_choose_from(make_env(), files)) == 3
    assert len(builds_to_choose_from(make_env(ops=make_ops(None, backend="cpu")), files)) == 3


@pytest.mark.parametrize(
    ("version", "backend", "text", "same"),
    [
        ("0.1.0+cu13", "cu13", "0.1.0+cu13 cu13 x86", True),
        ("0.1.0", "cu13", "0.1.0+cu13 cu13 x86", True),
        ("0.1.0+cpu", "cpu", "0.1.0+cu13 cu13 x86", False),
        ("0.2.0+cu13", "cu13", "0.1.0+cu13 cu13 x86", False),
        ("0.1.0", "python", "0.1.0 plain any", False),
    ],
)
def test_a_label_makes_no_other_build(version, backend, text, same):
    assert is_installed(make_env(ops=make_ops(version, backend=backend)), make_file(text)) == same

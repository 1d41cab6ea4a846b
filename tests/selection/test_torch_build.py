"""Which build of torch joins a plan where there is none."""

from __future__ import annotations

import pytest

from mimctl.errors import NoCompatibleBuildError, UsageError
from mimctl.selection.torch_build import choose_torch


@pytest.mark.parametrize(
    ("facts", "expected", "reason"),
    [
        ({}, "2.13.0+cpu", "no NVIDIA driver was found"),
        ({"driver": "580.65.06", "gpus": ("9.0",)}, "2.13.0+cu130", "NVIDIA driver 580.65.06 >= 580"),
        ({"driver": "580.65.06"}, "2.13.0+cu130", "NVIDIA driver 580.65.06 >= 580"),
        ({"driver": "550.54", "gpus": ("8.0",)}, "2.13.0+cu126", "NVIDIA driver 550.54 >= 525.60.13"),
        ({"driver": "580.65", "gpus": ("7.0",)}, "2.13.0+cu126", "NVIDIA driver 580.65 >= 525.60.13"),
        (
            {"driver": "470.82"},
            "2.13.0+cpu",
            "NVIDIA driver 470.82: cu130 needs driver >= 580, cu126 needs driver >= 525.60.13",
        ),
        (
            {"driver": "570.10", "gpus": ("12.0",)},
            "2.13.0+cpu",
            "NVIDIA driver 570.10: cu130 needs driver >= 580, cu126 has no code for these GPUs",
        ),
        (
            {"driver": "580.65", "gpus": ("8.7",), "platform": "linux-arm"},
            "2.13.0+cpu",
            "NVIDIA driver 580.65: cu130 has no code for these GPUs, cu126 has no code for these GPUs",
        ),
        (
            {"driver": "580.65", "gpus": ("9.0",), "platform": "linux-arm"},
            "2.13.0+cu130",
            "NVIDIA driver 580.65 >= 580",
        ),
        ({"driver": "580.65", "gpus": ("9.0", "5.0 hidden")}, "2.13.0+cu130", "NVIDIA driver 580.65 >= 580"),
        ({"driver": "580.65", "gpus": ("9.0", "5.0")}, "2.13.0+cu126", "NVIDIA driver 580.65 >= 525.60.13"),
        ({"driver": "580.65", "gpus": ("9.0 MIG", "9.0 MIG")}, "2.13.0+cu130", "NVIDIA driver 580.65 >= 580"),
        ({"platform": "mac"}, "2.13.0", "macOS has one build"),
        ({"platform": "mac", "driver": "mps"}, "2.13.0", "macOS has one build"),
        ({"platform": "windows"}, "2.13.0+cpu", "no NVIDIA driver was found"),
        ({"platform": "windows-arm"}, "2.13.0+cpu", "no NVIDIA driver was found"),
    ],
)
def test_auto_follows_the_machine(env, facts, expected, reason):
    build = choose_torch(env(torch=None, **facts), "auto", verified="2.13.0")
    assert (build.full_version, build.reason) == (expected, reason)


@pytest.mark.parametrize(
    ("wish", "expected", "cuda"),
    [
        ("cpu", "2.13.0+cpu", None),
        ("cu130", "2.13.0+cu130", "13.0"),
        ("2.12.0", "2.12.0+cpu", None),
        ("2.12.0+cu126", "2.12.0+cu126", "12.6"),
    ],
)
def test_a_named_build_is_taken_as_named(env, wish, expected, cuda):
    build = choose_torch(env(torch=None), wish, verified="2.13.0")
    assert (build.full_version, build.cuda) == (expected, cuda)


def test_none_means_none(env):
    assert choose_torch(env(torch=None), "none", verified="2.13.0") is None


@pytest.mark.parametrize("wish", ["cuda", "cu13", "latest", "2", "2.13.0 cpu"])
def test_other_words_are_refused(env, wish):
    with pytest.raises(UsageError):
        choose_torch(env(torch=None), wish, verified="2.13.0")


def test_too_old_a_version_is_refused(env):
    with pytest.raises(UsageError, match="too old"):
        choose_torch(env(torch=None), "2.5.1", verified="2.13.0")


@pytest.mark.parametrize(("driver", "name"), [("rocm", "ROCm"), ("xpu", "XPU")])
def test_another_makers_gpu_is_never_given_the_cpu_build_unasked(env, driver, name):
    with pytest.raises(NoCompatibleBuildError) as caught:
        choose_torch(env(torch=None, driver=driver), "auto", verified="2.13.0")
    assert caught.value.code == "no-torch-build"
    assert caught.value.message == f"no build of torch is chosen by itself on {name}"
    assert choose_torch(env(torch=None, driver=driver), "cpu", verified="2.13.0").full_version == "2.13.0+cpu"


@pytest.mark.parametrize(
    ("platform", "cause"),
    [
        ("alpine", "its wheels need glibc, which Alpine and its like do not have"),
        ("mac-intel", "the last for Macs with Intel's processors was 2.2"),
        ("linux-32", "it has them for linux x86_64, linux aarch64"),
    ],
)
def test_a_platform_that_torch_has_no_builds_for_is_told_at_once(env, platform, cause):
    with pytest.raises(NoCompatibleBuildError) as caught:
        choose_torch(env(torch=None, platform=platform), "auto", verified="2.13.0")
    assert caught.value.code == "no-torch-build"
    assert caught.value.causes[0].startswith(cause)

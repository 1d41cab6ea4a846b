"""Environments and indexes: which file is chosen, or exactly why none is. Read it as a table.

A row: what the machine is like; the index; the file that is taken, or the reason why the newest of its kind is not.
The files of an index are `version build platform`; the builds and their facts stand in `made_environment`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from made_environment import make_env, make_file

from mimctl.selection.choose import choose

X86 = ("0.3.0+cpu cpu x86", "0.3.0+cu12 CU12 x86", "0.3.0+cu13 CU13 x86")
ARM = ("0.3.0+cpu cpu arm", "0.3.0+cu13 CU13 arm")
PURE = ("0.3.0 python any",)
INDEXES = {
    "whole": (*X86, *ARM, *PURE),
    "plain": ("0.3.0 CU13 x86", "0.3.0 CU13 arm", *PURE),
    "cu13": ("0.3.0+cu13 CU13 x86", *PURE),
    "cu12": ("0.3.0+cu12 CU12 x86", *PURE),
    "cpu": ("0.3.0+cpu cpu x86", *PURE),
    "no A100": ("0.3.0+cu13 cu13 x86", *PURE),
    "pure": PURE,
    "mac": (*X86, "0.3.0 cpu mac", *PURE),
    "windows": (*X86, "0.3.0 cpu win", *PURE),
    "rocm": (*X86, "0.3.0+rocm rocm x86", *PURE),
    "yanked newest": ("0.4.0+cpu cpu x86 yanked", *X86, *PURE),
    "all yanked": ("0.3.0+cpu cpu x86 yanked", "0.3.0 python any yanked"),
    "old glibc": ("0.4.0+cpu cpu x86", "0.3.0+cpu cpu x86-old", *PURE),
    "new python": ("0.4.0+cpu cpu x86 >=3.12", "0.3.0+cpu cpu x86", *PURE),
    "pre-release": ("0.4.0rc1+cpu cpu x86", "0.3.0+cpu cpu x86", *PURE),
    "newer without cu12": ("0.4.0+cu13 CU13 x86", *X86, *PURE),
    "empty": (),
}
CPU, CU12, CU13, PYTHON = *X86, PURE[0]
ARM_CPU, ARM_CU13 = ARM
ASK = "compiled builds exist for this platform; ask for this one with `--variant python`"


@dataclass(frozen=True)
class Row:
    """`taken` is the chosen file; `why` says of others why not, all of them where nothing is taken."""

    machine: dict[str, object]
    index: str = "whole"
    taken: str | None = None
    variant: str | None = None
    why: dict[str, str] = field(default_factory=dict)
    warning: str | None = None


def gpu(torch="2.13.0+cu130", driver="580.65.06", gpus=("9.0",), **facts):
    return {"torch": torch, "driver": driver, "gpus": gpus, **facts}


def no_cuda(torch):
    return f"no CUDA code, torch is a CUDA {torch} build and this machine has a GPU driver"


def together(build, torch):
    return (
        f"built for CUDA {build}, torch is built for CUDA {torch}: "
        "both run on this driver, and nobody has tried them together"
    )


DRIVER_FLOOR = "needs NVIDIA driver >= 580, found 550.54.14"
TOO_OLD = "needs torch >= 2.10, found 2.9.1+cu128"
ON_CPU = "no CUDA code: on a GPU the operators compute in pure PyTorch, more slowly"
ON_MPS = "no Metal code: on `mps` the operators compute in pure PyTorch, more slowly"
NO_ROCM = "no ROCm code, torch is built for ROCm (2.13.0+rocm6.4)"
NO_XPU = "no XPU code, torch is built for XPU (2.13.0+xpu)"
NO_DRIVER = "built for CUDA 13, torch is built for CUDA 12.6, and no NVIDIA driver here says whether it is >= 580"

TABLE = {
    # The usual machines
    "a laptop without a GPU": Row({}, taken=CPU, why={PYTHON: ASK}),
    "H100, new driver": Row(gpu(), taken=CU13, why={CPU: no_cuda("13.0")}),
    "H100, torch for CUDA 12": Row(gpu("2.13.0+cu126"), taken=CU12, why={CPU: no_cuda("12.6")}),
    "RTX 4090": Row(gpu(gpus=("8.9",)), taken=CU13),
    "RTX 5090": Row(gpu(gpus=("12.0",)), taken=CU13),
    "A100 with a torch for CUDA 13": Row(gpu(gpus=("8.0",)), taken=CU13),
    "T4": Row(gpu(gpus=("7.5",)), taken=CU13),
    "plain files only, as pip sees them": Row(gpu(), "plain", "0.3.0 CU13 x86"),
    "plain files on a laptop": Row({}, "plain", "0.3.0 CU13 x86"),
    # Drivers
    "old driver with new torch": Row(
        gpu(driver="550.54.14"), "cu13", why={"0.3.0+cu13 CU13 x86": DRIVER_FLOOR, PYTHON: ASK}
    ),
    "old driver, new torch, whole index": Row(
        gpu(driver="550.54.14"), taken=CU12, why={CU13: DRIVER_FLOOR}, warning=together(12, "13.0")
    ),
    "old driver, torch that suits it": Row(
        gpu("2.12.0+cu126", driver="550.54.14"), taken=CU12, why={CU13: DRIVER_FLOOR}
    ),
    "driver at the floor": Row(gpu(driver="580.65.06"), "cu13", CU13),
    "driver of the branch before": Row(
        gpu(driver="575.57.08"), "cu13", why={CU13: "needs NVIDIA driver >= 580, found 575.57.08"}
    ),
    "driver too old for anything": Row(
        gpu("2.13.0+cu126", driver="470.82.01", gpus=("7.5",)),
        "cu12",
        why={CU12: "needs NVIDIA driver >= 525.60.13, found 470.82.01"},
    ),
    "CUDA 13 beside torch for CUDA 12, driver for both": Row(
        gpu("2.13.0+cu126"), "cu13", CU13, warning=together(13, "12.6")
    ),
    "CUDA 12 beside torch for CUDA 13": Row(gpu(), "cu12", CU12, warning=together(12, "13.0")),
    "a newer version that is for CUDA 13 alone": Row(
        gpu("2.13.0+cu126"), "newer without cu12", "0.4.0+cu13 CU13 x86", warning=together(13, "12.6")
    ),
    "the same on an old driver": Row(
        gpu("2.13.0+cu126", driver="550.54.14"), "newer without cu12", CU12, why={"0.4.0+cu13 CU13 x86": DRIVER_FLOOR}
    ),
    "PTX that the driver cannot compile": Row(
        gpu("2.13.0+cu126", driver="535.54.03", gpus=("12.0",)),
        "cu12",
        why={
            CU12: "only PTX for compute capability 12.0 (GPU), which CUDA 12.6 needs NVIDIA driver >= 560.28.03 "
            "to compile, found 535.54.03"
        },
    ),
    "PTX that it can": Row(gpu("2.13.0+cu126", driver="570.26", gpus=("12.0",)), "cu12", CU12),
    # Machines with a GPU and a torch without, and the reverse
    "CPU torch on a GPU box": Row({"driver": "580.65.06", "gpus": ("9.0",)}, taken=CPU),
    "CPU torch on a GPU box with an old driver": Row({"driver": "470.82.01", "gpus": ("7.0",)}, "cu13", CU13),
    "CUDA torch on a login node": Row({"torch": "2.13.0+cu130"}, taken=CU13),
    "CUDA 12 torch on a login node": Row({"torch": "2.13.0+cu126"}, "cu13", why={CU13: NO_DRIVER, PYTHON: ASK}),
    "CUDA 13 torch on a login node, CUDA 12 index": Row(
        {"torch": "2.13.0+cu130"}, "cu12", CU12, warning=together(12, "13.0")
    ),
    "CUDA torch on a login node, CPU index": Row({"torch": "2.13.0+cu130"}, "cpu", CPU, warning=ON_CPU),
    "CUDA torch with a GPU, CPU index": Row(gpu(), "cpu", why={CPU: no_cuda("13.0"), PYTHON: ASK}),
    "the same, told to": Row(gpu(), "cpu", CPU, variant="cpu", warning=ON_CPU),
    # GPUs
    "A100 that the build has no code for": Row(
        gpu(gpus=("8.0",)),
        "no A100",
        why={"0.3.0+cu13 cu13 x86": "no code for compute capability 8.0 (GPU); it has 7.5, 8.6, 9.0, 12.0"},
    ),
    "V100, which CUDA 13 has dropped": Row(
        gpu("2.13.0+cu126", gpus=("7.0",)),
        taken=CU12,
        why={
            CU13: "no code for compute capability 7.0 (GPU); it has 7.5, 8.0, 8.6, 8.9, 9.0, 10.0, 12.0, PTX 12.0",
        },
    ),
    "two GPUs of different kinds": Row(gpu(gpus=("9.0", "8.0")), taken=CU13),
    "two GPUs, one too old": Row(
        gpu(gpus=("9.0", "7.0")),
        "cu13",
        why={CU13: "no code for compute capability 7.0 (GPU); it has 7.5, 8.0, 8.6, 8.9, 9.0, 10.0, 12.0, PTX 12.0"},
    ),
    "two GPUs, the old one hidden": Row(gpu(gpus=("9.0", "7.0 hidden")), "cu13", CU13),
    "every GPU hidden counts every GPU": Row(
        gpu(gpus=("7.0 hidden",)),
        "cu13",
        why={CU13: "no code for compute capability 7.0 (GPU); it has 7.5, 8.0, 8.6, 8.9, 9.0, 10.0, 12.0, PTX 12.0"},
    ),
    "a later GPU of the same family": Row(gpu(gpus=("10.3",)), taken=CU13),
    "a GPU of the future": Row(gpu(gpus=("13.0",)), taken=CU13),
    "a GPU of the future, a torch that knows it": Row(gpu("2.15.0+cu132", driver="595.10", gpus=("13.0",)), taken=CU13),
    "a GPU whose capability the driver does not tell": Row(gpu("2.13.0+cu126", "525.60.13", gpus=("",)), taken=CU12),
    "MIG devices of an A100": Row(gpu(gpus=("8.0 MIG", "8.0 MIG")), taken=CU13),
    "MIG devices of an A100 that the build has no code for": Row(
        gpu(gpus=("8.0 MIG",)),
        "no A100",
        why={"0.3.0+cu13 cu13 x86": "no code for compute capability 8.0 (GPU MIG 1g.10gb); it has 7.5, 8.6, 9.0, 12.0"},
    ),
    "Windows' Linux": Row(gpu(driver="581.29", gpus=("8.9",)), taken=CU13),
    "Windows' Linux with an old driver": Row(
        gpu("2.13.0+cu126", driver="560.94", gpus=("8.9",)),
        taken=CU12,
        why={CU13: "needs NVIDIA driver >= 580, found 560.94"},
    ),
    # Other makers
    "ROCm": Row({"torch": "2.13.0+rocm6.4", "driver": "rocm"}, "rocm", "0.3.0+rocm rocm x86", why={CPU: NO_ROCM}),
    "ROCm is not given the CPU's": Row(
        {"torch": "2.13.0+rocm6.4", "driver": "rocm"}, why={CPU: NO_ROCM, CU13: NO_ROCM, PYTHON: ASK}
    ),
    "ROCm, told to": Row({"torch": "2.13.0+rocm6.4", "driver": "rocm"}, taken=PYTHON, variant="python"),
    "a CPU torch beside ROCm": Row({"driver": "rocm"}, taken=CPU),
    "a ROCm build is nobody else's": Row(
        {}, "rocm", CPU, why={"0.3.0+rocm rocm x86": "built for ROCm, torch is built for the CPU"}
    ),
    "Intel's XPU is not given the CPU's": Row(
        {"torch": "2.13.0+xpu", "driver": "xpu"}, why={CPU: NO_XPU, CU12: NO_XPU, PYTHON: ASK}
    ),
    "macOS on Apple's processor": Row(
        {"platform": "mac", "torch": "2.13.0", "driver": "mps"}, "mac", "0.3.0 cpu mac", warning=ON_MPS
    ),
    "macOS without a build gets the pure one": Row(
        {"platform": "mac", "torch": "2.13.0", "driver": "mps"},
        taken=PYTHON,
        why={CPU: "built for linux x86_64 (glibc), this is darwin arm64"},
    ),
    "macOS on Intel's": Row(
        {"platform": "mac-intel", "torch": "2.6.0"},
        "mac",
        PYTHON,
        why={"0.3.0 cpu mac": "built for darwin arm64, this is darwin x86_64"},
    ),
    # Platforms
    "musl": Row(
        {"platform": "alpine"},
        taken=PYTHON,
        why={CPU: "built for linux x86_64 (glibc), this is linux x86_64 (musl)"},
    ),
    "Windows": Row({"platform": "windows"}, "windows", "0.3.0 cpu win"),
    "Windows without a build": Row(
        {"platform": "windows"},
        taken=PYTHON,
        why={CPU: "built for linux x86_64 (glibc), this is win32 amd64"},
    ),
    "Windows on ARM": Row({"platform": "windows-arm"}, "windows", PYTHON),
    "GH200": Row(gpu(platform="linux-arm", gpus=("9.0",)), taken=ARM_CU13),
    "a Raspberry Pi": Row({"platform": "linux-arm"}, taken=ARM_CPU),
    "Jetson Orin runs no code for desktops": Row(
        gpu("2.13.0+cu130", driver="580.65", gpus=("8.7",), platform="linux-arm"),
        why={
            ARM_CU13: "no code for compute capability 8.7 (GPU); it has 7.5, 8.0, 8.6, 8.9, 9.0, 10.0, 12.0, PTX 12.0"
        },
    ),
    "an index without a build for the platform": Row({"platform": "linux-arm"}, "cpu", PYTHON),
    "glibc too old": Row({"platform": "linux-old"}, "cpu", why={CPU: "needs glibc >= 2.34, found 2.28", PYTHON: ASK}),
    "glibc too old for the newest": Row(
        {"platform": "linux-old"},
        "old glibc",
        "0.3.0+cpu cpu x86-old",
        why={"0.4.0+cpu cpu x86": "needs glibc >= 2.34, found 2.28"},
    ),
    "CentOS 7": Row(
        {"platform": "linux-ancient"},
        "old glibc",
        why={
            "0.3.0+cpu cpu x86-old": "needs glibc >= 2.28, found 2.17",
            PYTHON: ASK,
        },
    ),
    "CentOS 7, told to": Row({"platform": "linux-ancient"}, "old glibc", PYTHON, variant="python"),
    # Pythons
    "Python 3.15": Row({"python": "3.15.0"}, taken=CPU),
    "free-threaded Python": Row({"python": "3.14.2", "abi": "cp314t"}, taken=CPU),
    "free-threaded Python with a GPU": Row(gpu(python="3.14.2", abi="cp314t"), taken=CU13),
    "a Python too old for the newest": Row(
        {}, "new python", CPU, why={"0.4.0+cpu cpu x86 >=3.12": "needs Python >=3.12, found 3.11.7"}
    ),
    # torch
    "a development build": Row({"torch": "2.14.0a0+git1234567"}, taken=CPU),
    "a development build for CUDA, by its version.py": Row(gpu("2.14.0a0+git1234567", cuda="13.0"), taken=CU13),
    "a nightly": Row(gpu("2.15.0.dev20260901+cu132", driver="595.10"), taken=CU13),
    "conda's torch, which has no label": Row(gpu("2.12.1", cuda="12.9"), taken=CU12, why={CPU: no_cuda("12.9")}),
    "conda's torch for the CPU": Row({"torch": "2.12.1"}, taken=CPU),
    "the plain wheel of the package index": Row(gpu("2.13.0", cuda="13.0"), taken=CU13),
    "NVIDIA's container, too old": Row(
        gpu("2.6.0a0+ecf3bae40a.nv25.1", cuda="12.8", driver="570.86"),
        why={CU12: "needs torch >= 2.10, found 2.6.0a0+ecf3bae40a.nv25.1", PYTHON: ASK},
    ),
    "NVIDIA's container, told to": Row(
        gpu("2.6.0a0+ecf3bae40a.nv25.1", cuda="12.8", driver="570.86"), taken=PYTHON, variant="python"
    ),
    "NVIDIA's container with a pre-release of the oldest": Row(
        gpu("2.10.0a0+b4e4ee8.nv25.12", cuda="13.1", driver="590.44.01"),
        taken=CU13,
        warning="torch 2.10.0a0+b4e4ee8.nv25.12 was made before torch 2.10, the oldest that the build works with",
    ),
    "torch too old for compiled operators": Row(
        gpu("2.9.1+cu128", driver="550.54.14"), why={CU12: TOO_OLD, CU13: TOO_OLD, PYTHON: ASK}
    ),
    "but not for pure ones": Row(gpu("2.9.1+cu128", driver="550.54.14"), taken=PYTHON, variant="python"),
    "and where there are pure ones only": Row({"torch": "2.6.0+cpu"}, "pure", PYTHON),
    "torch too old for anything": Row(
        {"torch": "2.5.1+cpu"}, "pure", why={PYTHON: "needs torch >= 2.6, found 2.5.1+cpu"}
    ),
    "no torch": Row({"torch": None}, why={CPU: "torch is not installed", PYTHON: "torch is not installed"}),
    # What the index says
    "yanked newest": Row({}, "yanked newest", CPU, why={"0.4.0+cpu cpu x86 yanked": "yanked: broken"}),
    "everything yanked": Row(
        {},
        "all yanked",
        why={"0.3.0+cpu cpu x86 yanked": "yanked: broken", "0.3.0 python any yanked": "yanked: broken"},
    ),
    "a pre-release": Row({}, "pre-release", CPU),
    "nothing at all": Row({}, "empty"),
    "a variant that is none": Row({}, variant="cu11", why={CPU: "`--variant cu11` was asked for"}),
    "pure by request": Row({}, taken=PYTHON, variant="python", why={CPU: "`--variant python` was asked for"}),
}


@pytest.mark.parametrize("name", TABLE)
def test_table(name):
    row = TABLE[name]
    texts = {make_file(text): text for text in INDEXES[row.index]}
    selection = choose(make_env(**row.machine), texts, row.variant)
    assert (texts[selection.chosen] if selection.chosen else None) == row.taken
    said = {texts[each.file]: each.reason for each in selection.rejected}
    assert {text: said.get(text) for text in row.why} == row.why
    assert selection.warning == row.warning
    if row.taken is None:
        assert len(said) == len(texts)


def test_the_table_is_as_long_as_was_promised():
    assert len(TABLE) >= 60


@pytest.mark.parametrize("driver", [None, "470.82.01", "550.54.14", "580.65.06", "rocm", "xpu"])
@pytest.mark.parametrize("torch", ["2.13.0+cpu", "2.13.0+cu126", "2.13.0+cu130", "2.13.0+rocm6.4", "2.13.0+xpu"])
def test_nothing_that_computes_on_the_cpu_is_given_silently_to_a_torch_for_a_gpu(torch, driver):
    """The failure of an installer that serves its `cpu` page to whatever it does not know."""
    files = [make_file(text) for text in INDEXES["whole"]]
    selection = choose(make_env(torch=torch, driver=driver), files)
    chosen = selection.chosen
    if chosen is not None and torch != "2.13.0+cpu":
        assert chosen.build.backend.startswith("cu")
    if "rocm" in torch or "xpu" in torch:
        assert chosen is None


@pytest.mark.parametrize(
    "capability", ["5.0", "6.1", "7.0", "7.5", "8.0", "8.6", "8.7", "8.9", "9.0", "10.0", "12.0", "13.0"]
)
@pytest.mark.parametrize("driver", ["525.60.13", "550.54.14", "575.57.08", "580.65.06", "595.10"])
@pytest.mark.parametrize("torch", ["2.13.0+cu126", "2.13.0+cu130"])
def test_a_chosen_build_has_code_for_the_gpu_that_its_driver_runs(torch, driver, capability):
    """The failures "no kernel image" and "driver version is insufficient", worked out anew from the build's facts."""
    files = [make_file(text) for text in INDEXES["whole"]]
    chosen = choose(make_env(torch=torch, driver=driver, gpus=(capability,)), files).chosen
    if chosen is None:
        return
    build, own = chosen.build, tuple(map(int, capability.split(".")))
    assert tuple(map(int, driver.split("."))) >= tuple(map(int, build.min_driver.split(".")))
    archs = [tuple(map(int, each.split("."))) for each in build.archs]
    has_code = any(major == own[0] and minor <= own[1] for major, minor in archs) and own != (8, 7)
    compiles = {"12.6": (560,), "13.0": (580,)}[build.toolkit] <= tuple(map(int, driver.split(".")))
    assert has_code or (own >= tuple(map(int, build.ptx[0].split("."))) and compiles)

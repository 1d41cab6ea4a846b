"""Drivers and GPUs are read from the files and commands of made machines, odd and hostile ones among them."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from patience import wait_until

from mimctl.environment.accelerator import detect_accelerator, visible_gpus
from mimctl.environment.amd import arch_of, find_rocm
from mimctl.environment.nvidia import parse_smi
from mimctl.errors import UsageError

H200 = "9.0, 143771, Disabled, NVIDIA H200"
A100 = "8.0, 40960, Disabled, NVIDIA A100-SXM4, 40GB"
NVRM = (
    "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  570.133.20  Release Build  (dvs-builder@host)\n"
    "GCC version:  gcc version 12.2.0 (Debian 12.2.0-14+deb12u1)\n"
)


def look(machine, **environ):
    return detect_accelerator({**machine.environ, **environ}, root=machine.root, timeout_s=240)


def test_driver_comes_from_sys_then_proc_then_smi(machine):
    smi = machine.smi(H200, A100)
    found, gpus = look(machine)
    assert (found.value.driver, found.source) == ("580.65.06", str(smi))
    assert [(gpu.capability, gpu.memory_mib) for gpu in gpus.value] == [("9.0", 143771), ("8.0", 40960)]
    assert gpus.value[1].name == "NVIDIA A100-SXM4, 40GB"
    proc = machine.write("proc/driver/nvidia/version", NVRM)
    found, _ = look(machine)
    assert (found.value.driver, found.source) == ("570.133.20", str(proc))
    module = machine.write("sys/module/nvidia/version", "575.57.08\n")
    found, gpus = look(machine)
    assert (found.value.driver, found.source) == ("575.57.08", str(module))
    assert len(found.value.gpus) == len(gpus.value) == 2


def test_a_variable_beats_files_and_commands(machine):
    machine.smi(H200)
    machine.write("sys/module/nvidia/version", "575.57.08\n")
    found, gpus = look(machine, MIMCTL_DRIVER="580.1", MIMCTL_GPUS="8.0,9.0")
    assert (found.value.kind, found.value.driver, found.source) == ("cuda", "580.1", "MIMCTL_DRIVER")
    assert [gpu.capability for gpu in gpus.value] == ["8.0", "9.0"]
    assert look(machine, MIMCTL_DRIVER="550.54")[1].value == ()
    for told in ("none", "rocm", "xpu"):
        found, gpus = look(machine, MIMCTL_DRIVER=told)
        assert (found.value.kind, gpus.value) == (told, ())
    for wrong in (
        {"MIMCTL_DRIVER": "new"},
        {"MIMCTL_DRIVER": "580 or so"},
        {"MIMCTL_GPUS": "8.0,A100"},
        {"MIMCTL_GPUS": "sm_90"},
    ):
        with pytest.raises(UsageError):
            look(machine, **wrong)


def test_nothing_is_a_fact_too(machine):
    found, gpus = look(machine)
    assert (found.value.kind, gpus.value) == ("none", ())
    assert found.source == "no NVIDIA driver, ROCm, Intel GPU or Metal found"
    assert gpus.source == "no nvidia-smi on PATH"


def test_windows_linux_keeps_nvidia_smi_off_path(machine):
    smi = machine.smi(H200, driver="581.29", at=machine.root / "usr/lib/wsl/lib/nvidia-smi")
    found, gpus = look(machine)
    assert (found.value.kind, found.value.driver, found.source) == ("cuda", "581.29", str(smi))
    assert [gpu.capability for gpu in gpus.value] == ["9.0"]


LISTING = """GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-0aaa)
  MIG 3g.20gb     Device  0: (UUID: MIG-111)
  MIG 1g.5gb      Device  1: (UUID: MIG-222)
GPU 1: NVIDIA A100-SXM4-40GB (UUID: GPU-1aaa)
GPU 2: NVIDIA A100-SXM4-40GB (UUID: GPU-2aaa)"""


def test_mig_devices_stand_in_the_place_of_their_gpu(machine):
    on, off = "8.0, 40960, Enabled, A100", "8.0, 40960, Disabled, A100"
    machine.smi(on, off, on, listing=LISTING)
    _, gpus = look(machine)
    assert [(gpu.name, gpu.mig, gpu.memory_mib, gpu.capability, gpu.uuid) for gpu in gpus.value] == [
        ("A100 MIG 3g.20gb", "3g.20gb", 20480, "8.0", "MIG-111"),
        ("A100 MIG 1g.5gb", "1g.5gb", 5120, "8.0", "MIG-222"),
        ("A100", None, 40960, "8.0", "GPU-1aaa"),
    ]
    assert gpus.source.endswith("nvidia-smi, and `-L` for MIG")
    _, gpus = look(machine, CUDA_VISIBLE_DEVICES="MIG-222")
    assert [gpu.is_visible for gpu in gpus.value] == [False, True, False]


def test_a_driver_that_does_not_know_compute_capabilities(machine):
    old = "0, GPU-0aaa, 470.82.01, 16160, Tesla V100"
    smi = machine.command("nvidia-smi", f'case "$1" in *compute_cap*) exit 2;; *) echo "{old}";; esac')
    found, gpus = look(machine)
    assert found.value.driver == "470.82.01"
    assert [(gpu.name, gpu.capability, gpu.memory_mib) for gpu in gpus.value] == [("Tesla V100", "", 16160)]
    assert gpus.source == f"{smi}; driver 470.82.01 does not tell compute capabilities"


BAD_SMIS = {
    "exits non-zero": ("echo 'NVIDIA-SMI has failed'; exit 9", "exited 9"),
    "says that there is no device": ("echo 'No devices were found'", "said nothing that can be read"),
    "prints garbage": ("head -c 3000 /dev/urandom", "said nothing that can be read"),
    "prints nothing": (":", "said nothing that can be read"),
    "prints HTML": ("echo '<html>1, 2, 3, 4, 5, 6, 7</html>'", "said nothing that can be read"),
    "never ends": ("yes '0, x, garbage, 9.0, 1, Disabled, GPU'", "said more than 1 MiB"),
    "is killed": ("kill -9 $$", "exited -9"),
}


@pytest.mark.parametrize("name", BAD_SMIS)
def test_an_smi_that_fails_is_no_gpu_and_says_why(machine, name):
    script, reason = BAD_SMIS[name]
    smi = machine.command("nvidia-smi", script)
    found, gpus = look(machine)
    assert (found.value.kind, gpus.value) == ("none", ())
    assert gpus.source == f"{smi} {reason}"


@pytest.mark.parametrize(
    "script",
    [
        "sleep {}",
        "sleep {} & wait",
        "trap '' TERM INT HUP; sleep {}",
        "echo '0, GPU-0'; exec sleep {}",
        "sleep {} & :",
    ],
)
def test_an_smi_that_hangs_is_given_up_and_killed(machine, script):
    nights = f"900.{os.getpid()}"  # as nobody else on this machine sleeps
    smi = machine.command("nvidia-smi", script.format(nights))
    machine.write("sys/module/nvidia/version", "575.57.08\n")
    start = time.monotonic()
    found, gpus = detect_accelerator(machine.environ, root=machine.root, timeout_s=0.5)
    assert time.monotonic() - start < 240
    assert (found.value.driver, gpus.value) == ("575.57.08", ())
    assert gpus.source == f"{smi} gave no answer in 0.5 s"
    wait_until(lambda: not _lives(str(smi), nights))


def _lives(*names: str) -> bool:
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if any(name.encode() in words for name in names):
            return True
    return False


def test_an_smi_that_cannot_be_started(machine):
    smi = machine.commands / "nvidia-smi"
    smi.write_bytes(b"\x7fELF not really")
    smi.chmod(0o755)
    found, gpus = look(machine)
    assert found.value.kind == "none"
    assert gpus.source == f"{smi} cannot be started (OSError)"


def test_a_module_without_devices_is_a_container_without_its_gpus(machine):
    machine.write("sys/module/nvidia/version", "575.57.08\n")
    found, gpus = look(machine)
    assert (found.value.driver, gpus.value) == ("575.57.08", ())
    assert gpus.source.endswith("no /dev/nvidiactl: a container started without its GPUs")


@pytest.mark.parametrize("name", ["sys/module/nvidia/version", "proc/driver/nvidia/version"])
@pytest.mark.parametrize("kind", ["garbage", "empty", "folder", "pipe", "closed"])
def test_files_that_say_nothing_are_passed_over(machine, name, kind):
    machine.smi(H200)
    path = machine.write(name, "\x00\xff; rm -rf ~\n" if kind == "garbage" else "")
    if kind in ("folder", "pipe"):
        path.unlink()
        path.mkdir() if kind == "folder" else os.mkfifo(path)
    elif kind == "closed":
        path.chmod(0)
    found, _ = look(machine)
    assert found.value.driver == "580.65.06"


def test_two_gpus_of_different_kinds_are_numbered_only_where_that_is_certain(machine):
    machine.smi(H200, A100)
    visible = lambda **environ: [gpu.is_visible for gpu in look(machine, **environ)[1].value]  # noqa: E731
    assert visible() == [True, True]
    assert visible(CUDA_VISIBLE_DEVICES="1") == [True, True]
    assert visible(CUDA_VISIBLE_DEVICES="1", CUDA_DEVICE_ORDER="PCI_BUS_ID") == [False, True]
    assert visible(CUDA_VISIBLE_DEVICES="GPU-1aaa") == [False, True]
    assert visible(CUDA_VISIBLE_DEVICES="") == visible(CUDA_VISIBLE_DEVICES="-1") == [False, False]
    machine.smi(A100, A100, A100)
    assert visible(CUDA_VISIBLE_DEVICES="2,0,-1,1") == [True, False, True]


def test_what_hides_gpus_is_noted():
    assert visible_gpus({}).value is None
    assert visible_gpus({"CUDA_VISIBLE_DEVICES": ""}).value == "none"
    fact = visible_gpus({"ROCR_VISIBLE_DEVICES": "0,1"})
    assert (fact.value, fact.source) == ("0,1", "ROCR_VISIBLE_DEVICES")


def kfd(machine, *targets: int) -> None:
    machine.write("dev/kfd")
    for index, target in enumerate((0, *targets)):
        node = f"sys/class/kfd/kfd/topology/nodes/{index}"
        machine.write(f"{node}/properties", f"simd_count 304\ngfx_target_version {target}\n")
        machine.write(f"{node}/name", "aqua_vanjaram\n" if target else "\n")
        machine.write(f"{node}/mem_banks/0/properties", f"heap_type {1 if target else 0}\nsize_in_bytes 206141652992\n")


def test_rocm_with_its_version_and_architectures(machine):
    kfd(machine, 90402, 90402)
    version = machine.write("opt/rocm/.info/version", "6.4.1-83\n")
    found, gpus = look(machine)
    assert (found.value.kind, found.value.driver, found.source) == ("rocm", "6.4.1-83", str(version))
    assert [(gpu.name, gpu.capability, gpu.memory_mib) for gpu in gpus.value] == [
        ("aqua_vanjaram", "gfx942", 196592)
    ] * 2
    rocm = find_rocm({}, root=machine.root).value
    assert (rocm.path, rocm.version, rocm.archs) == (machine.root / "opt/rocm", "6.4.1-83", ("gfx942",))


def test_rocm_in_a_place_of_its_own(machine, tmp_path):
    (tmp_path / "rocm-7/.info").mkdir(parents=True)
    (tmp_path / "rocm-7/.info/version").write_text("7.0.2\n")
    rocm = find_rocm({"ROCM_PATH": str(tmp_path / "rocm-7")}, root=machine.root)
    assert (rocm.value.version, rocm.value.archs) == ("7.0.2", ())
    assert look(machine)[0].value.kind == "none"


@pytest.mark.parametrize(
    ("targets", "has_rocm", "kind"),
    [
        ((90402,), False, "rocm"),
        ((110000,), False, "rocm"),
        ((100306,), False, "none"),
        ((100306,), True, "rocm"),
        ((100306, 110000), False, "rocm"),
    ],
)
def test_integrated_graphics_are_no_reason_for_rocm(machine, targets, has_rocm, kind):
    kfd(machine, *targets)
    if has_rocm:
        machine.write("opt/rocm/.info/version", "6.4.1\n")
    assert look(machine)[0].value.kind == kind


@pytest.mark.parametrize(
    ("number", "name"),
    [(90402, "gfx942"), (90010, "gfx90a"), (100306, "gfx1036"), (110501, "gfx1151"), (0, None), (120001, "gfx1201")],
)
def test_names_of_architectures(number, name):
    assert arch_of(number) == name


@pytest.mark.parametrize(
    ("place", "vendor", "device_class", "kind"),
    [
        ("0000:03:00.0", "0x8086", "0x030000", "xpu"),
        ("0000:4d:00.0", "0x8086", "0x038000", "xpu"),
        ("0000:00:02.0", "0x8086", "0x030000", "none"),
        ("0000:03:00.0", "0x8086", "0x020000", "none"),
        ("0000:03:00.0", "0x1a03", "0x030000", "none"),
    ],
)
def test_a_card_of_intel_is_xpu_and_a_processors_graphics_are_not(machine, place, vendor, device_class, kind):
    machine.write(f"sys/bus/pci/devices/{place}/vendor", f"{vendor}\n")
    machine.write(f"sys/bus/pci/devices/{place}/class", f"{device_class}\n")
    assert look(machine)[0].value.kind == kind


def test_nvidia_comes_before_the_others(machine):
    kfd(machine, 90402)
    machine.write("sys/bus/pci/devices/0000:03:00.0/vendor", "0x8086\n")
    machine.write("sys/bus/pci/devices/0000:03:00.0/class", "0x030000\n")
    assert look(machine)[0].value.kind == "rocm"
    machine.write("sys/module/nvidia/version", "575.57.08\n")
    assert look(machine)[0].value.kind == "cuda"


def test_lines_of_smi_that_are_no_answer_are_passed_over():
    lines = (
        "0, GPU-a, 580.65.06, 9.0, 1, Disabled, H200",
        "warning: x",
        "1, GPU-b, 580.65.06, [N/A], [N/A], [N/A], Old",
    )
    driver, gpus, has_mig = parse_smi("\n".join(lines))
    assert driver == "580.65.06"
    assert [(gpu.capability, gpu.memory_mib) for gpu in gpus] == [("9.0", 1), ("", None)]
    assert has_mig == (False, False)

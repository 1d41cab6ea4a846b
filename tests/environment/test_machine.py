"""Containers, Windows' Linux, CUDA toolkits and torch's origin are told by the marks that they leave."""

from __future__ import annotations

import json

import pytest

from mimctl.environment.distributions import scan
from mimctl.environment.installed import Torch
from mimctl.environment.machine import find_container, find_slurm, find_toolkit, find_wsl
from mimctl.environment.origin import find_origin

CONTAINERS = {
    "docker": ({".dockerenv": ""}, {}, "docker", ".dockerenv"),
    "podman": ({"run/.containerenv": ""}, {}, "podman", "run/.containerenv"),
    "singularity": ({".singularity.d/env": ""}, {}, "singularity", ".singularity.d"),
    "apptainer": ({}, {"APPTAINER_NAME": "x.sif"}, "apptainer", "APPTAINER_NAME"),
    "kubernetes": (
        {".dockerenv": ""},
        {"KUBERNETES_SERVICE_HOST": "10.0.0.1"},
        "kubernetes",
        "KUBERNETES_SERVICE_HOST",
    ),
    "an old docker": ({"proc/1/cgroup": "12:pids:/docker/abc\n"}, {}, "docker", "proc/1/cgroup"),
    "nspawn": ({"proc/1/cgroup": "0::/\n"}, {"container": "systemd-nspawn"}, "systemd-nspawn", "container"),
    "NVIDIA's": (
        {".dockerenv": ""},
        {"NVIDIA_PYTORCH_VERSION": "25.01"},
        "docker, NVIDIA's image (25.01)",
        ".dockerenv",
    ),
    "none": ({"proc/1/cgroup": "0::/init.scope\n"}, {}, None, "no mark of a container"),
    "no /proc": ({}, {}, None, "no mark of a container"),
}


@pytest.mark.parametrize("name", CONTAINERS)
def test_containers(machine, name):
    files, environ, expected, source = CONTAINERS[name]
    for path, text in files.items():
        machine.write(path, text)
    fact = find_container(environ, root=machine.root)
    assert fact.value == expected
    assert fact.source.endswith(source)


def test_windows_linux(machine):
    assert find_wsl({}, root=machine.root).value is None
    release = machine.write("proc/sys/kernel/osrelease", "5.15.167.4-microsoft-standard-WSL2\n")
    assert find_wsl({}, root=machine.root).value == "5.15.167.4-microsoft-standard-WSL2"
    fact = find_wsl({"WSL_DISTRO_NAME": "Ubuntu-24.04"}, root=machine.root)
    assert (fact.value, fact.source) == ("Ubuntu-24.04", str(release))


def test_slurm(machine):
    assert find_slurm(machine.environ | {"PATH": str(machine.commands)}).value is None
    sbatch = machine.command("sbatch", ":")
    assert find_slurm(machine.environ).value == str(sbatch)
    assert find_slurm({"SLURM_JOB_ID": "42"}).value == "inside job 42"


TOOLKITS = {
    "version.json": ("version.json", json.dumps({"cuda": {"name": "CUDA SDK", "version": "12.6.77"}}), "12.6.77"),
    "version.txt": ("version.txt", "CUDA Version 10.2.89\n", "10.2.89"),
    "header": ("include/cuda.h", "/* */\n#define CUDA_VERSION 13000\n", "13.0"),
    "conda's header": ("targets/x86_64-linux/include/cuda.h", "#define  CUDA_VERSION 12080\n", "12.8"),
}


@pytest.mark.parametrize("name", TOOLKITS)
def test_the_version_of_a_toolkit_is_read_and_no_process_started(machine, name):
    path, text, expected = TOOLKITS[name]
    file = machine.write(f"usr/local/cuda/{path}", text)
    machine.command("nvcc", "touch $0.ran", at=machine.root / "usr/local/cuda/bin/nvcc")
    fact = find_toolkit(machine.environ, {}, root=machine.root)
    assert (fact.value.path, fact.value.version) == (machine.root / "usr/local/cuda", expected)
    assert fact.source == str(file)
    assert not (machine.root / "usr/local/cuda/bin/nvcc.ran").exists()


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"cuda": 3}', '{"cuda": {"version": 12}}', "[" * 100_000, '{"cuda": {"version": "new"}}']
)
def test_a_broken_version_file_leaves_the_question_to_nvcc(machine, text):
    machine.write("usr/local/cuda/version.json", text)
    said = "Cuda compilation tools, release 12.4, V12.4.131"
    nvcc = machine.command("nvcc", f"echo '{said}'", at=machine.root / "usr/local/cuda/bin/nvcc")
    fact = find_toolkit(machine.environ, {}, root=machine.root)
    assert (fact.value.version, fact.source) == ("12.4", f"{nvcc} --version")


def test_an_nvcc_that_fails_is_a_toolkit_of_no_known_version(machine):
    nvcc = machine.command("nvcc", "echo broken; exit 3", at=machine.commands / "bin/nvcc")
    fact = find_toolkit({"CUDA_HOME": str(machine.commands)}, {}, root=machine.root)
    assert (fact.value.path, fact.value.version) == (machine.commands, None)
    assert fact.source == f"{nvcc} exited 3"


def test_nvcc_is_left_alone_where_nobody_wants_to_know(machine):
    nvcc = machine.command("nvcc", "touch $0.ran", at=machine.root / "usr/local/cuda/bin/nvcc")
    fact = find_toolkit({"PATH": ""}, {}, root=machine.root, asks_nvcc=False)
    assert (fact.value.version, fact.source) == (None, str(nvcc))
    assert not nvcc.with_name("nvcc.ran").exists()


def test_variables_come_before_path_and_path_before_the_usual_place(machine, tmp_path):
    for name, version in (("home", "13.0.1"), ("path", "12.9.0")):
        (tmp_path / name / "bin").mkdir(parents=True)
        (tmp_path / name / "version.json").write_text(json.dumps({"cuda": {"version": version}}))
        machine.command("nvcc", "exit 1", at=tmp_path / name / "bin/nvcc")
    machine.write("usr/local/cuda/version.txt", "CUDA Version 11.8.0\n")
    on_path = {"PATH": str(tmp_path / "path/bin")}
    versions = [
        find_toolkit(environ, {}, root=machine.root).value.version
        for environ in ({"CUDA_HOME": str(tmp_path / "home"), **on_path}, on_path, {"PATH": ""})
    ]
    assert versions == ["13.0.1", "12.9.0", "11.8.0"]


def test_a_toolkit_from_the_package_index(machine, tmp_path):
    (tmp_path / "site/nvidia_cuda_nvcc-13.0.88.dist-info").mkdir(parents=True)
    fact = find_toolkit({"PATH": ""}, scan([tmp_path / "site"]), root=machine.root)
    assert (fact.value.path, fact.value.version) == (tmp_path / "site", "13.0.88")
    assert find_toolkit({"PATH": ""}, {}, root=machine.root).value is None


def torch(version="2.13.0"):
    return Torch(version=version, cuda=None, hip=None, path=None)


ORIGINS = {
    "pip": ({"INSTALLER": "pip\n"}, "torch-2.13.0.dist-info", "pip"),
    "uv": ({"INSTALLER": "uv"}, "torch-2.13.0.dist-info", "uv"),
    "a wheel by its path": (
        {"INSTALLER": "pip\n", "direct_url.json": '{"url": "file:///x.whl", "archive_info": {}}'},
        "torch-2.13.0.dist-info",
        "pip, from a file or address",
    ),
    "editable": (
        {"INSTALLER": "pip\n", "direct_url.json": '{"url": "file:///src/pytorch", "dir_info": {"editable": true}}'},
        "torch-2.15.0a0+git1.dist-info",
        "editable, from /src/pytorch",
    ),
    "from a folder": (
        {"INSTALLER": "pip\n", "direct_url.json": '{"url": "file:///src/pytorch", "dir_info": {}}'},
        "torch-2.15.0a0+git1.dist-info",
        "built from /src/pytorch",
    ),
    "setup.py develop": ({}, "torch-2.15.0a0.egg-info", "setup.py"),
    "another installer": ({"INSTALLER": "pdm\n"}, "torch-2.13.0.dist-info", "pdm"),
    "nobody": ({}, "torch-2.13.0.dist-info", "unknown"),
    "broken": ({"INSTALLER": "", "direct_url.json": "{"}, "torch-2.13.0.dist-info", "unknown"),
}


@pytest.mark.parametrize("name", ORIGINS)
def test_who_installed_torch(tmp_path, name):
    files, folder, expected = ORIGINS[name]
    place = tmp_path / "site-packages" / folder
    place.mkdir(parents=True)
    for file, text in files.items():
        (place / file).write_text(text)
    found = scan([place.parent])["torch"]
    fact = find_origin(torch(), found, prefix=tmp_path, environ={})
    assert fact.value == expected
    assert str(place) in fact.source


def test_torch_of_the_system_of_conda_and_of_a_container(tmp_path):
    system = tmp_path / "usr/lib/python3/dist-packages/torch-2.6.0.egg-info"
    system.mkdir(parents=True)
    found = scan([system.parent])["torch"]
    assert find_origin(torch(), found, prefix=tmp_path, environ={}).value == "the system's packages"
    record = tmp_path / "conda-meta/pytorch-2.5.1-py3.11_cuda12.4_cudnn9.1.0_0.json"
    record.parent.mkdir()
    record.touch()
    conda = find_origin(torch("2.5.1"), None, prefix=tmp_path, environ={})
    assert (conda.value, conda.source) == ("conda", str(record))
    image = find_origin(torch("2.6.0a0+ecf3bae40a.nv25.1"), None, prefix=tmp_path, environ={})
    assert image.value == "NVIDIA's container"
    told = find_origin(torch("2.6.0a0+1"), None, prefix=tmp_path, environ={"NVIDIA_PYTORCH_VERSION": "25.01"})
    assert (told.value, told.source) == ("NVIDIA's container 25.01", "NVIDIA_PYTORCH_VERSION")
    assert find_origin(None, None, prefix=tmp_path, environ={}).source == "torch is not installed"


def test_torch_that_no_distribution_names(tmp_path):
    assert "no distribution names it" in find_origin(torch(), None, prefix=tmp_path, environ={}).value

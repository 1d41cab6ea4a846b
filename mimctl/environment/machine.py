"""What kind of machine this is: a container, Windows' Linux, a cluster's node, one with a CUDA toolkit."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from mimctl.environment.ask import ask, read_text
from mimctl.environment.installed import Distribution, Fact
from mimctl.environment.model import Toolkit

_CGROUP_WORDS = ("kubepods", "docker", "containerd", "libpod", "lxc")
_NVCC_TIMEOUT_S = 10.0


def find_container(environ: Mapping[str, str], *, root: Path) -> Fact[str | None]:
    """Return what kind of container this is, by the marks that each leaves."""
    product = environ.get("NVIDIA_PRODUCT_NAME") or environ.get("NVIDIA_PYTORCH_VERSION")
    nvidia = f", NVIDIA's image ({product})" if product else ""
    for name, kind in (("APPTAINER_NAME", "apptainer"), ("SINGULARITY_NAME", "singularity")):
        if environ.get(name):
            return Fact(value=kind + nvidia, source=name)
    if environ.get("KUBERNETES_SERVICE_HOST"):
        return Fact(value="kubernetes" + nvidia, source="KUBERNETES_SERVICE_HOST")
    for name, kind in ((".dockerenv", "docker"), ("run/.containerenv", "podman"), (".singularity.d", "singularity")):
        if (root / name).exists():
            return Fact(value=kind + nvidia, source=str(root / name))
    cgroup = root / "proc/1/cgroup"
    text = read_text(cgroup)
    kind = next((word for word in _CGROUP_WORDS if word in text), environ.get("container", ""))
    if kind:
        return Fact(value=kind + nvidia, source=str(cgroup) if kind in text else "container")
    return Fact(value=None, source="no mark of a container")


def find_wsl(environ: Mapping[str, str], *, root: Path) -> Fact[str | None]:
    """Return which Windows' Linux this is: its NVIDIA driver is Windows' own."""
    release = root / "proc/sys/kernel/osrelease"
    text = read_text(release).strip()
    if "microsoft" in text.lower():
        return Fact(value=environ.get("WSL_DISTRO_NAME") or text, source=str(release))
    return Fact(value=None, source=f"{release} names no Microsoft kernel")


def find_slurm(environ: Mapping[str, str]) -> Fact[str | None]:
    """Return the job this runs in, or the `sbatch` that there is."""
    job = environ.get("SLURM_JOB_ID")
    if job:
        return Fact(value=f"inside job {job}", source="SLURM_JOB_ID")
    sbatch = shutil.which("sbatch", path=environ.get("PATH"))
    return Fact(value=sbatch, source="PATH") if sbatch else Fact(value=None, source="no sbatch on PATH")


def find_toolkit(
    environ: Mapping[str, str], distributions: Mapping[str, Distribution], *, root: Path, asks_nvcc: bool = True
) -> Fact[Toolkit | None]:
    """Return the CUDA toolkit that would compile: CUDA_HOME or CUDA_PATH, nvcc on PATH, /usr/local/cuda, a wheel.

    nvcc is asked only where no file beside it says the version, and then only with `asks_nvcc`.
    """
    for path in _toolkit_places(environ, root):
        version, read = _toolkit_version(path)
        if version is not None:
            return Fact(value=Toolkit(path=path, version=version), source=read)
        nvcc = path / "bin/nvcc"
        if nvcc.is_file():
            return (
                _ask_nvcc(path, nvcc) if asks_nvcc else Fact(value=Toolkit(path=path, version=None), source=str(nvcc))
            )
    wheel = next((distributions[name] for name in sorted(distributions) if _is_nvcc_wheel(name)), None)
    if wheel is not None:
        return Fact(value=Toolkit(path=wheel.path.parent, version=wheel.version), source=str(wheel.path))
    return Fact(value=None, source="no CUDA_HOME, no nvcc on PATH, no /usr/local/cuda")


def _ask_nvcc(path: Path, nvcc: Path) -> Fact[Toolkit | None]:
    said = ask([str(nvcc), "--version"], timeout_s=_NVCC_TIMEOUT_S)
    match = re.search(r"release (\d+\.\d+)", said.text)
    if match:
        return Fact(value=Toolkit(path=path, version=match[1]), source=f"{nvcc} --version")
    return Fact(value=Toolkit(path=path, version=None), source=f"{nvcc} {said.problem or 'does not say its version'}")


def _toolkit_places(environ: Mapping[str, str], root: Path) -> Iterator[Path]:
    for name in ("CUDA_HOME", "CUDA_PATH"):
        if environ.get(name):
            yield Path(environ[name])
    nvcc = shutil.which("nvcc", path=environ.get("PATH"))
    if nvcc:
        yield Path(nvcc).resolve().parent.parent
    yield root / "usr/local/cuda"


def _toolkit_version(path: Path) -> tuple[str | None, str]:
    data = path / "version.json"
    try:
        version = json.loads(read_text(data) or "{}")["cuda"]["version"]
    except (ValueError, KeyError, TypeError, RecursionError):
        version = None
    if isinstance(version, str) and re.fullmatch(r"\d+(\.\d+)+", version):
        return version, str(data)
    match = re.search(r"CUDA Version (\d+(?:\.\d+)+)", read_text(path / "version.txt"))
    if match:
        return match[1], str(path / "version.txt")
    for header in (path / "include/cuda.h", *sorted(path.glob("targets/*/include/cuda.h"))):
        match = re.search(r"#define\s+CUDA_VERSION\s+(\d{4,6})", read_text(header))
        if match:
            number = int(match[1])
            return f"{number // 1000}.{number % 1000 // 10}", str(header)
    return None, ""


def _is_nvcc_wheel(name: str) -> bool:
    return name == "nvidia-cuda-nvcc" or name.startswith("nvidia-cuda-nvcc-cu")

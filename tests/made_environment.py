"""Made-up environments and candidates from short texts, for tables."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mimctl.environment.installed import Distribution, Fact, Ops, Target, Torch
from mimctl.environment.model import Accelerator, Environment, Gpu, Libc, Paths, Platform
from mimctl.index.model import Build, IndexFile

_PLATFORMS = {
    "linux": ("linux", "x86_64", "glibc 2.36"),
    "linux-old": ("linux", "x86_64", "glibc 2.28"),
    "linux-arm": ("linux", "aarch64", "glibc 2.36"),
    "linux-ancient": ("linux", "x86_64", "glibc 2.17"),
    "linux-arm-old": ("linux", "aarch64", "glibc 2.28"),
    "linux-32": ("linux", "i686", "glibc 2.36"),
    "alpine": ("linux", "x86_64", "musl 1.2"),
    "mac": ("darwin", "arm64", None),
    "mac-intel": ("darwin", "x86_64", None),
    "windows": ("win32", "amd64", None),
    "windows-arm": ("win32", "arm64", None),
}


def make_env(
    *,
    platform: str = "linux",
    python: str = "3.11.7",
    torch: str | None = "2.13.0+cpu",
    cuda: str | None = None,
    driver: str | None = None,
    gpus: tuple[str, ...] = (),
    abi: str | None = None,
    ops: Ops | None = None,
    distributions: Sequence[str] = (),
    cv2: bool = False,
) -> Environment:
    """Return an environment; `torch` with its label says what it was built for, `distributions` are `name==version`.

    `cuda` is what `torch/version.py` says where the label does not; `driver` a version, `rocm`, `xpu` or `mps`. A GPU
    is its capability, with `hidden` behind it where CUDA_VISIBLE_DEVICES leaves it out, `MIG` where it is a MIG device.
    """
    system, machine, libc = _PLATFORMS[platform]
    told = "a test"
    fact = lambda value: Fact(value=value, source=told)  # noqa: E731
    family, _, version = (libc or "").partition(" ")
    found = tuple(_gpu(each) for each in gpus)
    kind = "none" if driver is None else driver if driver in ("rocm", "xpu", "mps") else "cuda"
    label = (torch or "").partition("+")[2]
    is_cuda = label.startswith("cu")
    return Environment(
        target=Target(python=Path("/venv/bin/python"), source="--python", is_own=False),
        python=fact(python),
        abi=fact(abi or "cp" + "".join(python.split(".")[:2])),
        platform=fact(Platform(system=system, machine=machine, release=(14, 0) if system == "darwin" else None)),
        libc=fact(Libc(family=family, version=tuple(map(int, version.split(".")))) if libc else None),
        torch=fact(
            torch
            and Torch(
                version=torch,
                cuda=f"{label[2:-1]}.{label[-1]}" if is_cuda else cuda,
                hip="6.4" if label.startswith("rocm") else None,
                xpu="20250302" if label == "xpu" else None,
                path=None,
            )
        ),
        accelerator=fact(Accelerator(kind=kind, driver=driver if kind == "cuda" else None, gpus=found)),
        gpus=fact(found),
        ops=fact(ops),
        ops_tier=fact(None),
        cv2=fact(Path("/venv/lib/cv2/__init__.py") if cv2 else None),
        slurm=fact(None),
        pip=fact("26.0"),
        uv=fact(None),
        paths=Paths(
            prefix=Path("/venv"),
            purelib=Path("/venv/lib"),
            platlib=Path("/venv/lib"),
            scripts=Path("/venv/bin"),
            data=Path("/venv"),
            search=(Path("/venv/lib"),),
            is_virtual=True,
        ),
        distributions={
            name: Distribution(name=name, version=version, path=Path(f"/venv/lib/{name}-{version}.dist-info"))
            for name, _, version in (each.partition("==") for each in distributions)
        },
    )


def _gpu(text: str) -> Gpu:
    capability, _, mark = text.partition(" ")
    is_mig = mark == "MIG"
    name = "GPU MIG 1g.10gb" if is_mig else "GPU"
    return Gpu(name=name, capability=capability, mig="1g.10gb" if is_mig else None, is_visible=mark != "hidden")


_TAGS = {
    "any": "py3-none-any",
    "x86": "py3-none-manylinux_2_34_x86_64",
    "x86-old": "py3-none-manylinux_2_28_x86_64",
    "arm": "py3-none-manylinux_2_34_aarch64",
    "mac": "py3-none-macosx_11_0_arm64",
    "win": "py3-none-win_amd64",
    "cp312": "cp312-cp312-manylinux_2_28_x86_64",
}
_BUILDS = {
    "cpu": Build(backend="cpu", min_torch="2.10"),
    "cu12": Build(backend="cu12", min_torch="2.10", min_driver="525.60.13", archs=("7.0", "8.0", "9.0"), ptx=("9.0",)),
    "cu13": Build(backend="cu13", min_torch="2.10", min_driver="580", archs=("7.5", "8.6", "9.0", "12.0")),
    "cu13ptx": Build(backend="cu13", min_torch="2.10", min_driver="580", archs=("8.0",), ptx=("8.0",)),
    "CU12": Build(
        backend="cu12",
        min_torch="2.10",
        min_driver="525.60.13",
        toolkit="12.6",
        archs=("5.0", "6.0", "7.0", "7.5", "8.0", "8.6", "8.9", "9.0"),
        ptx=("9.0",),
    ),
    "CU13": Build(
        backend="cu13",
        min_torch="2.10",
        min_driver="580",
        toolkit="13.0",
        archs=("7.5", "8.0", "8.6", "8.9", "9.0", "10.0", "12.0"),
        ptx=("12.0",),
    ),
    "capped": Build(backend="cpu", min_torch="2.10", max_torch="2.12"),
    "rocm": Build(backend="rocm", min_torch="2.10"),
    "python": Build(backend="python", min_torch="2.6"),
    "plain": None,
}


def make_file(text: str) -> IndexFile:
    """Return a candidate from a text such as `0.1.0 cu13 x86` or `0.1.0 cpu x86 yanked`."""
    version, backend, tag, *rest = text.split()
    requires_python = next((word for word in rest if word.startswith(">=")), ">=3.11")
    return IndexFile(
        project="mimctl-ops",
        filename=f"mimctl_ops-{version}-{_TAGS[tag]}-{backend}.whl",
        url="https://index.example/files/x.whl",
        sha256="0" * 64,
        size=1,
        version=version,
        tags=(_TAGS[tag],),
        requires_python=requires_python,
        yanked="broken" if "yanked" in rest else None,
        build=_BUILDS[backend],
        address="https://index.example",
    )

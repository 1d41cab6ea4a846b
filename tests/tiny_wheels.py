"""Make small valid wheels in a few lines, for tests of what reads, indexes and installs wheels."""

from __future__ import annotations

import base64
import hashlib
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path

from tiny_elf import elf_library, fat_binary

OPS_BUILD = {"backend": "cpu", "min_torch": "2.10", "ops": ["nms"], "archs": [], "ptx": []}


def write_wheel(
    folder: Path,
    name: str = "mimctl_ops-0.1.0-py3-none-any.whl",
    *,
    metadata: str = "",
    build: Mapping[str, object] | None = None,
    extra: Mapping[str, bytes] | None = None,
    title: str | None = None,
) -> Path:
    """Write a wheel with the given header lines, build.json and further files; `title` is the project in METADATA."""
    project, version = name.split("-")[:2]
    info = f"{project}-{version}.dist-info"
    members = {f"{project}/__init__.py": b"", **(extra or {})}
    if build is not None:
        members[f"{project}/build.json"] = json.dumps(build).encode()
    head = f"Metadata-Version: 2.1\nName: {title or project.replace('_', '-')}\nVersion: {version}\n"
    members[f"{info}/METADATA"] = f"{head}{metadata}\n".encode()
    tag = "-".join(name.removesuffix(".whl").split("-")[2:])
    members[f"{info}/WHEEL"] = f"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: {tag}\n".encode()
    record = [f"{member},sha256={_digest(data)},{len(data)}" for member, data in members.items()]
    members[f"{info}/RECORD"] = "\n".join([*record, f"{info}/RECORD,,", ""]).encode()
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(folder / name, "w", zipfile.ZIP_DEFLATED) as archive:
        for member, data in members.items():
            archive.writestr(zipfile.ZipInfo(member, (2020, 1, 1, 0, 0, 0)), data)
    return folder / name


def write_ops_wheel(
    folder: Path,
    backend: str = "cpu",
    *,
    version: str = "0.1.0",
    platform: str = "manylinux_2_34_x86_64",
    kind: str | None = None,
) -> Path:
    """Write a wheel of operators that an audit passes; `python` is pure, the others hold a library without code.

    `version` may bear a label. `mimctl_ops.kind.KIND` (`kind`, else the label, else the backend) tells which one is
    installed.
    """
    tier = "python" if backend == "python" else "compiled"
    is_pure, is_cuda = backend == "python", backend.startswith("cu")
    build = {**OPS_BUILD, "backend": backend}
    extra = {
        "mimctl_ops/kind.py": f"KIND = {kind or version.partition('+')[2] or backend!r}\n".encode(),
        "mimctl_ops/__main__.py": f"print('{json.dumps({'tier': tier})}')\n".encode(),
    }
    if is_cuda:
        build |= {"toolkit": f"{backend.removeprefix('cu')}.0", "min_driver": "580", "archs": ["9.0"], "ptx": ["9.0"]}
    if not is_pure:
        machine = "aarch64" if platform.endswith("aarch64") else "x86_64"
        gpu = fat_binary(("9.0", "PTX 9.0")) if is_cuda else b""
        extra["mimctl_ops/_mimctl_ops.so"] = elf_library(gpu=gpu, machine=machine)
    name = f"mimctl_ops-{version}-py3-none-{'any' if is_pure else platform}.whl"
    header = "Requires-Python: >=3.11\nRequires-Dist: torch>=2.10"
    return write_wheel(folder, name, metadata=header, build=build, extra=extra)


def _digest(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()

"""Make small valid wheels in a few lines, for tests of what reads, indexes and installs wheels."""

from __future__ import annotations

import base64
import hashlib
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path

OPS_BUILD = {"backend": "cpu", "min_torch": "2.10", "ops": ["nms"], "archs": [], "ptx": []}


def write_wheel(
    folder: Path,
    name: str = "mimctl_ops-0.1.0-py3-none-any.whl",
    *,
    metadata: str = "",
    build: Mapping[str, object] | None = None,
    extra: Mapping[str, bytes] | None = None,
) -> Path:
    """Write a wheel with the given header lines, build.json and further files."""
    project, version = name.split("-")[:2]
    info = f"{project}-{version}.dist-info"
    members = {f"{project}/__init__.py": b"", **(extra or {})}
    if build is not None:
        members[f"{project}/build.json"] = json.dumps(build).encode()
    members[f"{info}/METADATA"] = f"Metadata-Version: 2.1\nName: {project}\nVersion: {version}\n{metadata}\n".encode()
    tag = "-".join(name.removesuffix(".whl").split("-")[2:])
    members[f"{info}/WHEEL"] = f"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: {tag}\n".encode()
    record = [f"{member},sha256={_digest(data)},{len(data)}" for member, data in members.items()]
    members[f"{info}/RECORD"] = "\n".join([*record, f"{info}/RECORD,,", ""]).encode()
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(folder / name, "w", zipfile.ZIP_DEFLATED) as archive:
        for member, data in members.items():
            archive.writestr(zipfile.ZipInfo(member, (2020, 1, 1, 0, 0, 0)), data)
    return folder / name


def _digest(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()

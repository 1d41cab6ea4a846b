"""How torch came here: pip, uv, conda, the system's packages, a container's image, or from its source."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from mimctl.environment.ask import read_text
from mimctl.environment.distributions import read_direct_url
from mimctl.environment.installed import Distribution, Fact, Torch

_INSTALLERS = {"pip": "pip", "uv": "uv", "conda": "conda", "poetry": "poetry", "debian": "the system's packages"}


def find_origin(
    torch: Torch | None, distribution: Distribution | None, *, prefix: Path, environ: Mapping[str, str]
) -> Fact[str | None]:
    """Return who put torch there, the source being the file that says so."""
    if torch is None:
        return Fact(value=None, source="torch is not installed")
    image = environ.get("NVIDIA_PYTORCH_VERSION")
    if image or ".nv" in torch.version:
        source = "NVIDIA_PYTORCH_VERSION" if image else f"its version, {torch.version}"
        return Fact(value=f"NVIDIA's container {image or ''}".strip(), source=source)
    conda = _conda_record(prefix)
    if distribution is None:
        if conda is not None:
            return Fact(value="conda", source=str(conda))
        return Fact(value="its source or a copy: no distribution names it", source=str(torch.path))
    return _of_distribution(distribution, conda)


def _of_distribution(distribution: Distribution, conda: Path | None) -> Fact[str | None]:
    direct = read_direct_url(distribution)
    folder = direct.get("dir_info")
    installer = read_text(distribution.path / "INSTALLER").strip().lower()
    name = _INSTALLERS.get(installer, installer)
    if isinstance(folder, dict):
        place = str(direct.get("url", "")).removeprefix("file://")
        return Fact(
            value=f"editable, from {place}" if folder.get("editable") else f"built from {place}",
            source=str(distribution.path / "direct_url.json"),
        )
    if distribution.path.suffix == ".egg-info" and not (distribution.path / "INSTALLER").exists():
        is_system = "dist-packages" in distribution.path.parts
        return Fact(value="the system's packages" if is_system else "setup.py", source=str(distribution.path))
    if conda is not None and name in ("conda", ""):
        return Fact(value="conda", source=str(conda))
    if "dist-packages" in distribution.path.parts and "local" not in distribution.path.parts and name in ("", "debian"):
        return Fact(value="the system's packages", source=str(distribution.path))
    if not name:
        return Fact(value="unknown", source=f"{distribution.path} names no installer")
    words = f"{name}, from a file or address" if "archive_info" in direct else name
    return Fact(value=words, source=str(distribution.path / "INSTALLER"))


def _conda_record(prefix: Path) -> Path | None:
    """Return conda's record of its package for torch."""
    found = [*prefix.glob("conda-meta/pytorch-[0-9]*.json"), *prefix.glob("conda-meta/libtorch-[0-9]*.json")]
    return next(iter(sorted(found, reverse=True)), None)

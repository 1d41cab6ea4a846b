"""A toolbox that was found in an environment, whole or broken."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mimctl.plugin.manifest import Manifest


@dataclass(frozen=True, slots=True, kw_only=True)
class Plugin:
    """One installed toolbox."""

    name: str
    package: str
    package_dir: Path
    distribution: str
    version: str
    manifest: Manifest
    is_editable: bool = False
    """Whether it is worked on where it lies: its package is elsewhere than the metadata of its installation."""

    @property
    def configs_dir(self) -> Path:
        """The root of its configs."""
        return self.package_dir / self.manifest.configs_root


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokenPlugin:
    """A distribution that says it is a toolbox and cannot be used; `reason` says why, `hints` what to type."""

    name: str
    distribution: str
    version: str
    reason: str
    code: str = "broken-plugin"
    """`broken-plugin`, `name-claimed-twice` or `engine-version`."""
    hints: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    """What its manifest says that it goes by, beside its name, where that can be read."""
    package_dir: Path | None = None

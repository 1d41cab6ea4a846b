"""The toolbox that is checked, and what a check says of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from mimctl.config import Config
from mimctl.errors import MimctlError, Origin
from mimctl.launch.place import Workplace
from mimctl.plugin.manifest import Manifest
from mimctl.plugin.model import Plugin

Status = Literal["ok", "warn", "fail", "skip"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One fact that a check found; `check` is the check's name, `origin` the file and line it is about."""

    check: str
    status: Status
    message: str
    origin: Origin | None = None
    hints: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A toolbox where its author works on it, or as it is installed."""

    package: str
    package_dir: Path
    is_source: bool
    """Whether it is edited where it lies: then its table of types is written anew."""
    project_dir: Path | None = None
    """The folder of its pyproject.toml, None where it is installed without one."""
    distribution: str | None = None
    """Its installed distribution, None where it is not installed from there."""

    @property
    def import_root(self) -> Path:
        """The folder from which the package is imported."""
        return self.package_dir.parents[self.package.count(".")]


@dataclass(slots=True, kw_only=True)
class Examination:
    """What the checks hand on to each other: each finds what the ones before it have read."""

    subject: Subject
    place: Workplace
    writes: bool
    """Whether a table that is behind is written anew."""
    manifest: Manifest | None = None
    tables: list[Any] = field(default_factory=list)
    """Tables of the engine, vision, other toolboxes and this one."""
    table: dict[str, Any] | None = None
    """What this toolbox's source says now."""
    configs: dict[Path, Config] = field(default_factory=dict)
    """Configs without a mistake."""

    def as_plugin(self) -> Plugin | None:
        """Return the toolbox as one that is installed, None where its manifest cannot be read."""
        if self.manifest is None:
            return None
        return Plugin(
            name=self.manifest.name,
            package=self.subject.package,
            package_dir=self.subject.package_dir,
            distribution=self.subject.distribution or f"mimctl-{self.manifest.name}",
            version="0",
            manifest=self.manifest,
            is_editable=self.subject.is_source,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckReport:
    """All that was found, in the order of the checks."""

    subject: Subject
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Return whether nothing failed; warnings and skipped checks are allowed."""
        return all(each.status != "fail" for each in self.findings)


def failure(check: str, err: MimctlError) -> Finding:
    """Return an error as a finding; its further causes stand in the message."""
    message = "; ".join([err.message.removeprefix(f"{check}: "), *err.causes])
    return Finding(check=check, status="fail", message=message, origin=err.origin, hints=err.hints)

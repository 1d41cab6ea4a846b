"""What an installation is asked for, plans to change, and did change."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from mimctl.environment.model import Environment, Target
from mimctl.index.model import IndexFile
from mimctl.selection.choose import Selection

Action = Literal["install", "upgrade", "replace", "remove"]


@dataclass(frozen=True, slots=True, kw_only=True)
class InstallOptions:
    """The choices of one installation; `torch` as `selection.torch_build.choose_torch` takes it."""

    torch: str = "auto"
    variant: str | None = None
    upgrade: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class InstalledOwn:
    """What is known of an installed distribution of ours."""

    name: str
    version: str
    requires_dist: tuple[str, ...] = ()
    sha256: str | None = None
    """Hash of the wheel it was installed from, where the installer recorded it."""
    is_from_source: bool = False
    """Installed from a folder or repository, perhaps editable: never replaced by the same version."""
    backend: str | None = None
    """Backend of an op package's build, from its `build.json`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One distribution that an installation changes.

    `version` is None where the installer picks the newest that satisfies `requirement`; then `sha256` and `size`
    (bytes) are unknown too.
    """

    action: Action
    name: str
    version: str | None = None
    requirement: str | None = None
    previous: str | None = None
    source: str = ""
    """Where it comes from: an index address, `pip's configuration`, torch's wheel index."""
    sha256: str | None = None
    size: int | None = None
    reason: str = ""
    """Who needs it, or why it is replaced."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TorchChange:
    """The torch that joins the plan where there is none; `index_url` None: pip's own configuration offers it."""

    version: str
    """Exact, with its label: `2.13.0+cpu`."""
    tag: str | None
    """What the machine needs: `cpu`, `cu130`; the plain version may be that build too."""
    reason: str
    index_url: str | None = None

    @property
    def requirement(self) -> str:
        """Return the requirement that only this very version satisfies.

        `==2.13.0` would take `2.13.0+cpu` for the same (PEP 440), so a version without label needs `===`.
        """
        return exact_requirement("torch", self.version)


def exact_requirement(name: str, version: str) -> str:
    """Return the requirement on one version and no other label of it."""
    return f"{name}=={version}" if "+" in version else f"{name}==={version}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectDecision:
    """The trace of one project: its selection, and the installed version that was kept instead, if any."""

    project: str
    selection: Selection
    kept: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class InstallPlan:
    """All that will change, and why; nothing has been downloaded for it."""

    target: Target
    environment: Environment
    requested: tuple[str, ...]
    """Normalised names of the distributions that were asked for, with their extras."""
    decisions: tuple[ProjectDecision, ...] = ()
    changes: tuple[Change, ...] = ()
    wheels: tuple[IndexFile, ...] = ()
    """Our own wheels, which come only from mimctl's indexes."""
    third_party: tuple[str, ...] = ()
    """Requirements for the installer, which the user's own pip configuration serves."""
    torch: TorchChange | None = None
    constraints: tuple[str, ...] = ()
    """`name==version` of all that is there and stays as it is, torch among them; only torch's hold where a new
    requirement needs something newer than what is there."""
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    """What is done though nobody has tried it: with a torch newer than the builds were verified with, say."""
    options: InstallOptions = field(default_factory=InstallOptions)

    @property
    def nothing_to_do(self) -> bool:
        """Return whether everything that was asked for is there already."""
        return not self.changes


@dataclass(frozen=True, slots=True, kw_only=True)
class InstallResult:
    """What an installation changed; `changes` holds the versions that were found afterwards."""

    plan: InstallPlan
    changes: tuple[Change, ...]
    installer: str
    """`pip 26.3`, `uv 0.13.8`; empty where nothing was to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UninstallPlan:
    """The distributions that will be removed."""

    target: Target
    environment: Environment
    changes: tuple[Change, ...] = ()
    not_installed: tuple[str, ...] = ()

    @property
    def nothing_to_do(self) -> bool:
        """Return whether nothing of what was named is installed."""
        return not self.changes


@dataclass(frozen=True, slots=True, kw_only=True)
class UninstallResult:
    """What was removed."""

    plan: UninstallPlan
    changes: tuple[Change, ...]
    installer: str

"""What an installation is asked for, plans to change, and did change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from mimctl.environment.installed import Target
    from mimctl.environment.model import Environment
    from mimctl.index.model import IndexFile
    from mimctl.resolution.model import Metadata, Provided
    from mimctl.selection.choose import Selection

Action = Literal["install", "upgrade", "downgrade", "replace", "remove"]


@dataclass(frozen=True, slots=True, kw_only=True)
class InstallOptions:
    """The choices of one installation; `torch` as `selection.torch_build.choose_torch` takes it."""

    torch: str = "auto"
    variant: str | None = None
    upgrade: bool = False
    """Take newer versions of what is named."""
    upgrade_all: bool = False
    """Take newer versions of that and of all it needs."""
    pre: bool = False
    """Pre-releases are as good as finished releases."""
    reinstall: bool = False
    """Place anew what is named, though the same version is there, with another hash perhaps."""
    requirement_files: tuple[str, ...] = ()
    """Paths and addresses of `-r`."""
    constraint_files: tuple[str, ...] = ()
    """Paths and addresses of `-c`."""
    editables: tuple[str, ...] = ()
    """Folders that stay what is imported (`-e`)."""
    index_url: str | None = None
    """A package index in place of the configured one (`-i`), as pip has it."""
    extra_index_urls: tuple[str, ...] = ()
    find_links: tuple[str, ...] = ()
    no_index: bool = False
    trusted_hosts: tuple[str, ...] = ()
    """Hosts whose certificates are not verified."""
    requires_hashes: bool = False
    """Whether all that is installed needs a hash that was named."""
    builds: frozenset[str] = frozenset()
    """Names that are built from their source distributions."""
    is_isolated: bool = True
    """Whether builds get environments of their own."""

    @property
    def names_places(self) -> bool:
        """Return whether files, folders or builds are asked for beside names."""
        return bool(self.requirement_files or self.constraint_files or self.editables or self.builds)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One distribution that an installation changes; `version` is None where it is removed."""

    action: Action
    name: str
    version: str | None = None
    previous: str | None = None
    source: str = ""
    """Where it comes from: an index's address without secrets, or what was typed."""
    sha256: str | None = None
    size: int | None = None
    reason: str = ""
    """Who needs it, or why it is replaced."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TorchChange:
    """The torch that joins the plan where there is none."""

    version: str
    """As its wheel bears it: `2.13.0+cpu`."""
    tag: str | None
    """What the machine needs: `cpu`, `cu130`; the plain version may be that build too."""
    reason: str


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
    """Every file that an index serves for the changes, ours and others', torch's too."""
    provided: tuple[Provided, ...] = ()
    """What was named by its place instead."""
    metadata: Mapping[str, Metadata] = field(default_factory=dict)
    """File name → what the wheel was resolved by: it must say the same of itself when it is here."""
    reinstalled: tuple[str, ...] = ()
    """Names that are placed anew on purpose, with another hash perhaps."""
    torch: TorchChange | None = None
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    """What is done though nobody has tried it: with a torch newer than the builds were verified with, say."""
    verified: str | None = None
    """Newest torch that the index was verified with, where an index was read."""
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

"""Where a run goes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from mimctl.plugin.discover import BrokenPlugin, Plugin

if TYPE_CHECKING:
    from mimctl.launch.runs.book import RunBook
    from mimctl.settings.clusters import ClusterDefaults


@dataclass(frozen=True, slots=True, kw_only=True)
class Workplace:
    """The environment that a run goes into: its interpreter, its import path, its toolboxes."""

    python: Path
    source: str
    """What named the interpreter (`--python`, `./.venv`, …)."""
    paths: tuple[Path, ...]
    plugins: tuple[Plugin | BrokenPlugin, ...]
    visible_gpus: int = 0
    """GPUs that the target's torch can use."""
    cache_dir: Path | None = None
    """Where what was read off sources is kept."""
    book: RunBook | None = None
    """Where runs are written down; without one they are not."""
    clusters: Mapping[str, ClusterDefaults] = field(default_factory=dict)
    """What is set for clusters of Slurm, by their names."""
    nodes_dir: Path | None = None
    """Where what was seen of the nodes of clusters is kept."""
    note: Callable[[str], None] | None = None
    """Who is told what a person may want to read."""

    @property
    def working_plugins(self) -> list[Plugin]:
        """The toolboxes that can be used."""
        return [each for each in self.plugins if isinstance(each, Plugin)]

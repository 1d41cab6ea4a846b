"""What a bundle carries besides wheels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mimctl.bundling.data import PublishedData
    from mimctl.bundling.models import Model


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """A file of weights and the address that configs know it by."""

    url: str
    path: Path
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleParts:
    """What goes into a bundle besides wheels."""

    weights: Sequence[Weights] = ()
    models: Sequence[Model] = ()
    folders: Sequence[Path] = ()
    """Of data."""
    data: Sequence[PublishedData] = ()
    """Published data sets that were fetched: their files are moved."""

"""Adds the dependencies when the package is built: the engine of exactly this release."""

from __future__ import annotations

from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface


class CustomMetadataHook(MetadataHookInterface):
    """Fill `dependencies` from the version that all distributions share."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Set the dependencies of this build."""
        metadata["dependencies"] = [f"mimctl[engine]=={metadata['version']}"]

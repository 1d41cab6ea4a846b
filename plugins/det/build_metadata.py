"""Adds the dependencies when the package is built: engine and operators of exactly this release."""

from __future__ import annotations

from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface


class CustomMetadataHook(MetadataHookInterface):
    """Fill `dependencies` from the version that all distributions share."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Set the dependencies of this build."""
        version = metadata["version"]
        metadata["dependencies"] = [
            f"mimctl[engine]=={version}",
            f"mimctl-ops=={version}",
            "faster-coco-eval>=1.6",
        ]

"""The models of a toolbox as an index holds them; imports little, for `search` does nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from mimctl.errors import MimctlError
from mimctl.index.bulk import bulk
from mimctl.zoo.model import Zoo, parse_zoo


class ZooSource(Protocol):
    """What of the index this room needs: the content of `zoo/<plugin>.json`, each model with its `address`."""

    def zoo(self, plugin: str) -> Mapping[str, Any]:
        """Return the raw zoo of a toolbox."""


def load_zoo(index: ZooSource, plugin: str) -> Zoo:
    """Return the zoo of a toolbox from the index; raise MimctlError[no-zoo] where the index has none for it."""
    with bulk():
        zoo = parse_zoo(index.zoo(plugin))
    if not zoo.models:
        raise MimctlError(
            f"the index has no models of `{plugin}`",
            code="no-zoo",
            causes=[f"no index named in the settings holds `zoo/{plugin}.json`"],
            hints=["build the index with models: `mimctl index build --zoo index/zoo`"],
        )
    return zoo

"""The models of a toolbox as an index holds them; imports little, for `search` does nothing else."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from mimctl.errors import MimctlError, did_you_mean, nearest
from mimctl.index.bulk import bulk

if TYPE_CHECKING:
    from mimctl.zoo.model import Zoo
    from mimctl.zoo.rows import Row


class ZooSource(Protocol):
    """What of the index this room needs: the content of `zoo/<plugin>.json`, each model with its `address`."""

    def zoo(self, plugin: str) -> Mapping[str, Any]:
        """Return the raw zoo of a toolbox."""

    def catalogues(self) -> Collection[str]:
        """Return the names of all zoos it has."""


def load_zoo(index: ZooSource, plugin: str) -> Zoo:
    """Return the zoo of a toolbox from the index.

    Raises MimctlError[no-zoo] where the index has none for it, IntegrityError[bad-zoo].
    """
    from mimctl.zoo.document import parse_zoo

    _require_name(index, plugin)
    with bulk():
        zoo = parse_zoo(index.zoo(plugin))
    if not zoo.models:
        raise _no_zoo(index, plugin)
    return zoo


def load_rows(index: ZooSource, plugin: str) -> list[Row]:
    """Return the models of a toolbox as rows to search in, without making a ModelEntry of each; raises as `load_zoo`.

    What they state is text to be shown, and read when somebody looks; whoever fetches one reads it through `load_zoo`,
    which checks it.
    """
    from mimctl.zoo.rows import row_of_item

    _require_name(index, plugin)
    data = index.zoo(plugin)
    families = data.get("collections") or {}
    try:
        with bulk():
            rows = [row_of_item(item, plugin, families.get(item.get("collection"))) for item in data["models"]]
    except (KeyError, TypeError, ValueError, AttributeError) as problem:
        from mimctl.zoo.document import malformed

        raise malformed("the index", problem) from problem
    if not rows:
        raise _no_zoo(index, plugin)
    return rows


def _require_name(index: ZooSource, plugin: str) -> None:
    """Raise MimctlError[no-zoo] for what no zoo can be called: it would become part of an address."""
    bare = plugin.replace("-", "").replace("_", "")
    if not (bare.isascii() and bare.isalnum()):
        raise _no_zoo(index, plugin)


def _no_zoo(index: ZooSource, plugin: str) -> MimctlError:
    from mimctl.plugin.openmmlab import CATALOGUES

    known: set[str] = set()
    with contextlib.suppress(MimctlError):  # what is wrong there is no answer to what was asked
        known = set(index.catalogues())
    shown = "".join(letter if letter.isprintable() else "�" for letter in plugin)
    if not known:
        causes = [f"no index named in the settings holds `zoo/{shown}.json`"]
        hints = ["build the index with models: `mimctl index build --zoo index/zoo`"]
    else:
        causes = [f"it has those of {', '.join(sorted(known))}"]
        near = nearest(plugin, {*known, *(name for name, toolbox in CATALOGUES.items() if toolbox in known)}, most=2)
        hints = did_you_mean(near)
    return MimctlError(
        f"the index has no models of `{shown}`", code="no-zoo", causes=causes, hints=hints, details={"toolbox": plugin}
    )

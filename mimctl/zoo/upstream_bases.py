"""Bases of a published config that lie in another package (`mmdet::_base_/…`): out of that package's wheel, as data."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path, PurePosixPath

from mimctl.config.files.packages import import_name, names_of
from mimctl.errors import ConfigError
from mimctl.plugin.openmmlab import CATALOGUES
from mimctl.zoo.upstream import wanted_release

_DISTRIBUTIONS = {"mmaction": "mmaction2", "mmseg": "mmsegmentation"}
"""Import packages → the distributions that hold them, where those bear another name."""

Fetch = Callable[[str], Path]
"""Requirement (`mmdet<3.1.0,>=3.0.0rc2`) → the folder of its configs."""


def bases_of(configs: Path, source: str, fetch: Fetch) -> Callable[[str], Path]:
    """Return the lookup of bases named `package::path` by the configs of one published wheel.

    `configs` are those of `source` (`mmrotate==1.0.0rc1`). Another package is fetched by the release that this wheel
    wants of it; where it names none, any. None but OpenMMLab's packages, and those that the wheel requires, are
    fetched: a config is somebody's text. The lookup raises ConfigError[config-base], and what `fetch` raises.
    """
    own = import_name(source.partition("==")[0])

    def search(reference: str) -> Path:
        owner, _, inner = reference.partition("::")
        path = PurePosixPath(inner)
        if not owner.isidentifier() or not inner or path.is_absolute() or ".." in path.parts:
            raise ConfigError(f"`{reference}` is no base", code="config-base")
        root, whose = configs, source
        if own not in names_of(owner):
            whose = _requirement(configs, source, owner)
            root = fetch(whose)
        if not (root / path).is_file():
            raise ConfigError(f"the base `{reference}` is not in `{whose}`", code="config-base")
        return root / path

    return search


def _requirement(configs: Path, source: str, owner: str) -> str:
    distribution = _DISTRIBUTIONS.get(owner, owner)
    wanted = wanted_release(configs, distribution)
    if wanted is None and owner not in CATALOGUES:
        raise ConfigError(
            f"the base `{owner}::…` belongs to another package, which `{source}` does not require",
            code="config-base",
            causes=["only OpenMMLab's packages are fetched unasked"],
            hints=["choose another model of the zoo"],
        )
    return wanted if wanted not in (None, distribution) else f"{distribution}>=0"

"""Whether a published model reaches its figures here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mimctl import settings as settings_module
from mimctl.errors import MimctlError
from mimctl.settings import Settings

if TYPE_CHECKING:
    from mimctl.api.place import Watch
    from mimctl.launch.model import ConfigOptions, LaunchOptions, Listener
    from mimctl.launch.verbs import RunResult
    from mimctl.zoo.catalogue.compare import Compared


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """A model that was tested: its published figures beside the measured ones."""

    name: str
    figures: Sequence[Compared]
    is_same: bool
    run: RunResult


def zoo_verify(
    plugin: str,
    name: str,
    config: ConfigOptions | None = None,
    launch: LaunchOptions | None = None,
    *,
    tolerance: float | None = None,
    listener: Listener | None = None,
    watch: Watch | None = None,
    settings: Settings | None = None,
) -> Verified:
    """Fetch a model of a toolbox's zoo, test it, and compare its published figures with what comes out.

    Of `config` the changes count (where the data lie, for one); the config itself is the published one. `tolerance` is
    in the published unit, see `mimctl.zoo.catalogue.compare`. Raises MimctlError[nothing-to-compare] where the model
    has no figure that the test measures, and what `download` and `test` raise.
    """
    from mimctl.api.models import download
    from mimctl.api.place import index_client
    from mimctl.api.running import test
    from mimctl.launch.model import ConfigOptions
    from mimctl.plugin.openmmlab import CATALOGUES
    from mimctl.zoo.catalogue.compare import compare, told
    from mimctl.zoo.names import resolve_name
    from mimctl.zoo.reading import load_zoo

    settings = settings or settings_module.load()
    entry = resolve_name(load_zoo(index_client(settings), CATALOGUES.get(plugin, plugin)).models, name)
    (files,) = download(plugin, entry.name, watch=watch, settings=settings)
    changes = replace(config or ConfigOptions(config=""), config=str(files.config))
    run = test(plugin, changes, str(files.checkpoint), launch, listener=listener, watch=watch, settings=settings)
    metrics = (run.result or {}).get("metrics") or {}
    figures = compare(entry.results, metrics, tolerance)
    if not any(each.measured is not None for each in figures):
        raise MimctlError(
            f"nothing of `{entry.name}` can be compared",
            code="nothing-to-compare",
            causes=[
                f"published: {', '.join(each.name for each in figures) or 'no figure'}",
                f"measured: {', '.join(metrics) or 'no metric'}",
            ],
        )
    return Verified(name=entry.name, figures=figures, is_same=told(figures), run=run)

"""Finding models: in the index's zoo, in packages that follow mim's convention, in what is published."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from mimctl import settings as settings_module
from mimctl.settings import Settings

if TYPE_CHECKING:
    from mimctl.api.place import Watch
    from mimctl.index.client import IndexClient
    from mimctl.launch.place import Workplace
    from mimctl.zoo.rows import Row
    from mimctl.zoo.search import Found, Query

Where = Literal["auto", "local", "remote"]


def search(
    names: Sequence[str] | str,
    query: Query | None = None,
    *,
    where: Where = "auto",
    watch: Watch | None = None,
    settings: Settings | None = None,
) -> Found:
    """Return the models of toolboxes and packages that fit `query`, in the order of `names` unless it sorts.

    A name is a toolbox of ours (its zoo, from the index or its cache), or a package of mim's convention that is
    installed (`where="local"` takes nothing else); `name==version`, or `where="remote"`, is the published package, read
    out of its wheel. Raises UsageError[bad-condition | unknown-field], MimctlError[unknown-model | no-zoo |
    plugin-not-installed] and what reading an index raises.
    """
    from mimctl.zoo.search import Query
    from mimctl.zoo.search import search as find

    shelves = _Shelves(settings or settings_module.load(), where, watch.note if watch else lambda _: None)
    wanted = [names] if isinstance(names, str) else names
    return find([row for name in wanted for row in shelves.rows(name)], query or Query())


def get_model_info(
    package: str,
    configs: Sequence[str] = (),
    models: Sequence[str] = (),
    training_datasets: Sequence[str] = (),
    filter_conditions: str | None = None,
    sorted_fields: Sequence[str] = (),
    ascending: bool = True,
    shown_fields: Sequence[str] = (),
    unshown_fields: Sequence[str] = (),
    local: bool = True,
    *,
    settings: Settings | None = None,
) -> dict[str, dict[str, Any]]:
    """Return model → field → value, with the arguments that mim's function of this name takes (see `search`)."""
    from mimctl.zoo.search import Query, as_mapping

    query = Query(
        configs=tuple(configs),
        models=tuple(models),
        datasets=tuple(training_datasets),
        conditions=(filter_conditions,) if filter_conditions else (),
        sort=tuple(sorted_fields),
        is_descending=not ascending,
        fields=tuple(shown_fields),
        excluded=tuple(unshown_fields),
    )
    return as_mapping(search(package, query, where="auto" if local else "remote", settings=settings))


class _Shelves:
    """Where the models of one request stand; index and target are looked at once, and only where a name needs them."""

    def __init__(self, settings: Settings, where: Where, note: Callable[[str], None]) -> None:
        self._settings = settings
        self._where = where
        self._note = note

    @cached_property
    def _index(self) -> IndexClient:
        from mimctl.api.place import index_client

        return index_client(self._settings, only_looks=True)

    @cached_property
    def _place(self) -> Workplace:
        from mimctl.api.place import workplace

        return workplace(self._settings)

    def rows(self, name: str) -> list[Row]:
        """Return the models of one name; that of a catalogue means it, whatever is installed."""
        from mimctl.plugin.openmmlab import CATALOGUES

        if name in CATALOGUES.values() and self._where != "local":
            return self._of_toolbox(name)
        return self._of_what_is_there(name)

    def _of_what_is_there(self, name: str) -> list[Row]:
        from mimctl.launch.toolbox import find_installed, find_working_plugin, not_installed, say_which
        from mimctl.plugin.openmmlab import CATALOGUES

        word, _, version = name.partition("==")
        plugin = find_working_plugin(word, self._place) if not version and self._where != "local" else None
        package = find_installed(name, self._place) if plugin is None and self._where != "remote" else None
        found = plugin or package
        if found is not None and (told := say_which(name, found, self._place)):
            self._note(told)
        if package is not None:
            return self._of_package(package.root, package.name)
        if self._where == "local":
            raise not_installed(name, self._place)
        if plugin is not None:
            return self._of_toolbox(plugin.name)
        toolbox = CATALOGUES.get(word, word)
        if self._where == "auto" and not version:
            if toolbox != word:
                self._note(f"`{word}` is not installed; these are the models of the toolbox `{toolbox}`")
            return self._of_toolbox(toolbox)
        return self._of_published(name, word)

    def _of_toolbox(self, toolbox: str) -> list[Row]:
        from mimctl.zoo.reading import load_rows

        return load_rows(self._index, toolbox)

    def _of_published(self, name: str, word: str) -> list[Row]:
        from mimctl.zoo.upstream import upstream_configs

        configs = upstream_configs(
            name,
            cache_dir=self._settings.cache_dir,
            is_offline=self._settings.offline,
            python=self._place.python,
            note=self._note,
        )
        return self._of_package(configs.parent, word)

    def _of_package(self, root: Path, name: str) -> list[Row]:
        from mimctl.zoo.metafile import read_models
        from mimctl.zoo.rows import row_of_facts

        facts = read_models(root, cache_dir=self._settings.cache_dir)
        if facts.problems:
            count = f"{len(facts.problems)} entries" if len(facts.problems) > 1 else "an entry"
            self._note(f"{count} of `{name}` cannot be read: {facts.problems[0]}")
        return [row_of_facts(each, name) for each in facts.models]

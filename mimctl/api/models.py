"""The models of the zoo: ours and those of packages that follow mim's convention."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from mimctl import settings as settings_module
from mimctl.api.place import index_client, workplace
from mimctl.settings import Settings

if TYPE_CHECKING:
    from mimctl.api.place import Watch
    from mimctl.launch.model import Workplace
    from mimctl.zoo.download import Downloaded
    from mimctl.zoo.rows import Row
    from mimctl.zoo.search import Found, Query


def search(
    names: Sequence[str] | str,
    query: Query | None = None,
    *,
    where: Literal["auto", "local", "remote"] = "auto",
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

    settings = settings or settings_module.load()
    place = workplace(settings)
    rows = []
    for name in [names] if isinstance(names, str) else names:
        rows += _rows(name, place, settings, where, watch.note if watch else lambda _: None)
    return find(rows, query or Query())


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


def download(
    plugin: str,
    names: Sequence[str] | str,
    *,
    dest: Path | None = None,
    watch: Watch | None = None,
    settings: Settings | None = None,
) -> list[Downloaded]:
    """Fetch models of a toolbox's zoo: the weights, verified, and a flattened config beside them.

    `plugin` is a toolbox of ours (it need not be installed), or a package of mim's convention that is installed.
    `dest` is a folder (None: the cache).
    """
    from mimctl.launch.toolbox import find_installed, find_working_plugin, say_which
    from mimctl.plugin.mim import MimPackage, find_packages
    from mimctl.plugin.openmmlab import CATALOGUES
    from mimctl.zoo.download import download_models
    from mimctl.zoo.package import PackageZoo

    settings = settings or settings_module.load()
    place = workplace(settings)
    found = find_working_plugin(plugin, place) or find_installed(plugin, place, is_required="==" in plugin)
    if found is not None and watch is not None and (told := say_which(plugin, found, place)):
        watch.note(told)
    wanted = [names] if isinstance(names, str) else names
    note = watch.note if watch else None
    progress = watch.progress if watch else None
    if isinstance(found, MimPackage):
        zoo = PackageZoo(found, cache_dir=settings.cache_dir, others=find_packages(place.paths))
        return download_models(
            found.name, wanted, dest=dest, index=zoo, settings=settings, configs=zoo, progress=progress, note=note
        )
    return download_models(
        found.name if found else CATALOGUES.get(plugin, plugin),
        wanted,
        dest=dest,
        index=index_client(settings),
        settings=settings,
        configs_dir=found.configs_dir if found else None,
        python=place.python,
        progress=progress,
        note=note,
    )


def _rows(name: str, place: Workplace, settings: Settings, where: str, note: Callable[[str], None]) -> list[Row]:
    """Return the models of one name as rows."""
    from mimctl.launch.toolbox import find_installed, find_working_plugin, not_installed, say_which
    from mimctl.plugin.openmmlab import CATALOGUES

    word, _, version = name.partition("==")
    plugin = find_working_plugin(word, place) if not version and where != "local" else None
    package = find_installed(name, place) if plugin is None and where != "remote" else None
    found = plugin or package
    if found is not None and (told := say_which(name, found, place)):
        note(told)
    if package is not None:
        return _rows_of_package(package.root, package.name, settings, note)
    if where == "local":
        raise not_installed(name, place)
    toolbox = plugin.name if plugin else word if word in CATALOGUES.values() else None
    if toolbox is None and where == "auto" and not version:
        toolbox = CATALOGUES.get(word, word)
    if toolbox is not None:
        from mimctl.zoo.download import load_zoo
        from mimctl.zoo.rows import row_of_entry

        if toolbox != word and plugin is None:
            note(f"`{word}` is not installed; these are the models of the toolbox `{toolbox}`")
        zoo = load_zoo(index_client(settings), toolbox)
        return [row_of_entry(entry, toolbox, zoo.collections.get(entry.collection)) for entry in zoo.models]
    from mimctl.zoo.upstream import upstream_configs

    root = upstream_configs(
        name, cache_dir=settings.cache_dir, is_offline=settings.offline, python=place.python, note=note
    ).parent
    return _rows_of_package(root, word, settings, note)


def _rows_of_package(root: Path, name: str, settings: Settings, note: Callable[[str], None]) -> list[Row]:
    from mimctl.zoo.metafile import read_models
    from mimctl.zoo.rows import row_of_facts

    facts = read_models(root, cache_dir=settings.cache_dir)
    if facts.problems:
        count = f"{len(facts.problems)} entries" if len(facts.problems) > 1 else "an entry"
        note(f"{count} of `{name}` cannot be read: {facts.problems[0]}")
    return [row_of_facts(each, name) for each in facts.models]

"""The catalogue of models: made from packages, checked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mimctl import settings as settings_module
from mimctl.api.place import workplace
from mimctl.errors import UsageError
from mimctl.settings import Settings

if TYPE_CHECKING:
    from mimctl.api.place import Watch
    from mimctl.zoo.catalogue.importing import Imported
    from mimctl.zoo.catalogue.lint import Finding


def zoo_import(
    package: str | Path,
    out: Path,
    *,
    toolbox: str | None = None,
    source: str | None = None,
    buildable: Sequence[str] = (),
    dry_run: bool = False,
    watch: Watch | None = None,
    settings: Settings | None = None,
) -> Imported:
    """Write the models of a package that follows mim's convention into `<out>/<toolbox>.yaml`.

    `package` is a folder (of the package or its repository), an installed package, or a published one, `name==version`.
    `toolbox` is whose catalogue it is, by default our name of the package. `source` is the distribution whose wheel
    holds the configs, `name==version`; it has to be named for a folder. Raises UsageError[no-zoo],
    IntegrityError[bad-zoo], and what fetching a published package raises.
    """
    from mimctl.plugin.openmmlab import CATALOGUES
    from mimctl.zoo.catalogue.importing import import_models, root_of

    settings = settings or settings_module.load()
    word = str(package)
    if Path(word).expanduser().is_dir():
        root = root_of(Path(word).expanduser())
        if source is None:
            raise UsageError(
                f"which release holds the configs of `{word}`?",
                hints=["name it: `--source mmdet==3.3.0`; `download` reads them there"],
            )
    else:
        root, source = _published(word, settings, watch, source)
    name = source.partition("==")[0]
    return import_models(
        root,
        out=out.expanduser().absolute(),
        plugin=toolbox or CATALOGUES.get(name, name),
        source=source,
        buildable=buildable,
        dry_run=dry_run,
    )


def zoo_lint(path: Path) -> list[Finding]:
    """Return what is irregular in a source of the catalogue, in a folder of them, or in the models of a package.

    Raises IntegrityError[bad-zoo], UsageError[no-zoo].
    """
    from mimctl.zoo.catalogue.importing import find_irregular, root_of
    from mimctl.zoo.catalogue.lint import faults_of
    from mimctl.zoo.catalogue.source import read

    path = path.expanduser()
    sources = [path] if path.is_file() else sorted(path.glob("*.yaml"))
    if sources:
        return [finding for each in sources for finding in faults_of(read(each))]
    return find_irregular(root_of(path))


def _published(word: str, settings: Settings, watch: Watch | None, source: str | None) -> tuple[Path, str]:
    """Return where a package's models lie that is installed or published, and its release."""
    from mimctl.launch.toolbox import find_installed
    from mimctl.zoo.upstream import upstream_configs

    place = workplace(settings)
    found = find_installed(word, place)
    if found is not None:
        return found.root, source or f"{found.name}=={found.version}"
    note = watch.note if watch else lambda _: None
    configs = upstream_configs(
        word, cache_dir=settings.cache_dir, is_offline=settings.offline, python=place.python, note=note
    )
    return configs.parent, source or (word if "==" in word else configs.parent.name.replace("-", "==", 1))

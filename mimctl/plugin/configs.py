"""Find an experiment config: a path must exist, a bare name is looked up in the toolbox."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from mimctl.errors import ConfigError, Origin, did_you_mean, nearest

SUFFIXES = (".py", ".yaml", ".yml", ".json")


class HasConfigs(Protocol):
    """A toolbox as far as its configs go."""

    @property
    def name(self) -> str:
        """What it is called in messages."""

    @property
    def configs_dir(self) -> Path:
        """The root of its configs."""


def list_configs(plugin: HasConfigs) -> Iterator[Path]:
    """Yield the toolbox's own configs, without what they are built from (`_base_` folders)."""
    if plugin.configs_dir.is_dir():
        yield from list_below(plugin.configs_dir)


def list_below(folder: Path) -> Iterator[Path]:
    """Yield the configs in a folder, sorted, without what they are built from (`_base_` folders)."""
    for path in sorted(folder.rglob("*")):
        inner = path.relative_to(folder)
        if path.suffix in SUFFIXES and "_base_" not in inner.parts and path.stem != "metafile" and path.is_file():
            yield path


def find_config(text: str, plugin: HasConfigs) -> Path:
    """Return the config that a person means by `text`.

    A path (it has a folder or a suffix) must exist. A bare name is an exact name in the toolbox, else the one name
    that begins with it (`rtmdet_s` → `rtmdet_s_8xb32-300e_coco.py`). Raises ConfigError[config-not-found] with the
    nearest names, ConfigError[config-ambiguous] with all that fit.
    """
    path = Path(text).expanduser()
    if path.is_file():
        return path.resolve()
    if path.is_dir():
        raise ConfigError(f"config `{text}` is a folder", code="config-not-found", hints=[f"name a file: `{text}/...`"])
    if path.suffix in SUFFIXES or "/" in text:
        raise _missing_file(text, path, plugin)
    configs = list(list_configs(plugin))
    exact = [each for each in configs if each.stem == text]
    hits = exact or [each for each in configs if each.stem.startswith(f"{text}_")]
    if len(hits) == 1:
        return hits[0]
    if hits:
        raise ConfigError(
            f"config `{text}` fits {len(hits)} configs of `{plugin.name}`",
            code="config-ambiguous",
            causes=[str(each.relative_to(plugin.configs_dir)) for each in hits],
            hints=[f"name one of them: `{hits[0].stem}`"],
        )
    near = nearest(text, {each.stem for each in configs} | {each.stem.split("_8x")[0] for each in configs})
    raise ConfigError(
        f"toolbox `{plugin.name}` has no config `{text}`",
        code="config-not-found",
        hints=did_you_mean(near) or _some(configs, plugin),
    )


def _missing_file(text: str, path: Path, plugin: HasConfigs) -> ConfigError:
    folder = path.parent
    names = {each.name for each in folder.iterdir() if each.suffix in SUFFIXES} if folder.is_dir() else set()
    near = [str(folder / each) for each in nearest(path.name, names, most=2)]
    near += [each.stem for each in list_configs(plugin) if each.stem == path.stem]
    return ConfigError(
        f"config `{text}` does not exist",
        code="config-not-found",
        causes=[] if folder.is_dir() else [f"there is no folder `{folder}`"],
        origin=Origin(file=text),
        hints=did_you_mean(near),
    )


def _some(configs: list[Path], plugin: HasConfigs) -> list[str]:
    names = [each.stem for each in configs[:6]]
    return [f"the configs of `{plugin.name}` begin with {', '.join(names)}"] if names else []

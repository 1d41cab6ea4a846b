"""Reads what an index is made from: wheels in folders, toolboxes.yaml, zoo files. All of it is data to be checked."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from mimctl.errors import ConfigError, IntegrityError, Origin, UsageError
from mimctl.site.entry import check_filename
from mimctl.site.sdist import is_sdist
from mimctl.wheels.wheelfile import hash_file
from mimctl.zoo.catalogue.source import load_yaml

ZOO_FILES = PurePosixPath("zoo/files")
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Zoo:
    """The models of one toolbox: its document, and the files it names as (path inside the index, where it lies)."""

    plugin: str
    document: Mapping[str, Any]
    files: tuple[tuple[PurePosixPath, Path], ...]

    @property
    def num_models(self) -> int:
        """The number of models."""
        return len(self.document["models"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What lies in the folders of wheels."""

    wheels: Mapping[str, tuple[Path, ...]]
    """Name → where files of that name lie."""
    sdists: tuple[Path, ...]


def find_wheels(places: Iterable[Path]) -> Found:
    """Look for wheels and source distributions in folders (or take single files), without reading them.

    Raises UsageError[no-wheels] where a place does not exist, IntegrityError[bad-wheel] for a name that no wheel has.
    """
    wheels: dict[str, tuple[Path, ...]] = {}
    sdists: list[Path] = []
    for place in map(Path.absolute, places):
        if not place.exists():
            raise no_wheels(f"`{place}` does not exist")
        is_folder = place.is_dir()
        for path in place.iterdir() if is_folder else [place]:
            if path.suffix == ".whl":
                check_filename(path.name)
                wheels[path.name] = (*wheels.get(path.name, ()), path)
            elif is_sdist(path):
                sdists.append(path)
            elif not is_folder:
                raise no_wheels(f"`{path.name}` is no wheel")
    return Found(wheels=dict(sorted(wheels.items())), sdists=tuple(sorted(sdists)))


def no_wheels(message: str = "no wheels to make an index from") -> UsageError:
    """Return the error for an index of nothing."""
    return UsageError(
        message,
        code="no-wheels",
        hints=[
            "build them first: `mimctl wheels build --out DIR`",
            "or take those of another index: `--from ADDRESS`",
            "or make an index of models alone: `--zoo DIR`",
        ],
    )


def read_toolboxes(path: Path) -> dict[str, dict[str, Any]]:
    """Read toolboxes.yaml; raise ConfigError[toolboxes] with the file where it is malformed."""
    data = _yaml(path, "toolboxes")
    if not isinstance(data, dict):
        raise _wrong(path, "toolboxes", "it must map names to toolboxes")
    return {str(name): _toolbox(path, str(name), value) for name, value in data.items()}


def _toolbox(path: Path, name: str, value: object) -> dict[str, Any]:
    if not _NAME.fullmatch(name) or not isinstance(value, dict):
        raise _wrong(path, "toolboxes", f"`{name}` must be a short name with a table of facts")
    unknown = value.keys() - {"distribution", "summary", "aliases", "scopes"}
    if unknown or not isinstance(value.get("distribution"), str):
        raise _wrong(path, "toolboxes", f"`{name}` must hold distribution, summary, aliases, scopes")
    lists = {key: list(map(str, value.get(key) or [])) for key in ("aliases", "scopes")}
    return {"distribution": value["distribution"], "summary": str(value.get("summary") or ""), **lists}


def read_zoos(folder: Path) -> list[Zoo]:
    """Read `<plugin>.json` or `<plugin>.yaml` in a folder, with the files they name below its `files` folder.

    The hash and the size of each file are put into the document. Raises ConfigError[zoo-source] where a source is
    malformed or a file that it names is missing, IntegrityError[hash-mismatch] where a file is not what it says.
    """
    if not folder.is_dir():
        raise UsageError(f"`{folder}` is no folder of zoo files", code="zoo-source")
    paths = sorted(path for path in folder.iterdir() if path.suffix in (".json", ".yaml", ".yml"))
    names = [path.stem for path in paths]
    for path in paths:
        if names.count(path.stem) > 1:
            raise _wrong(path, "zoo-source", f"`{path.stem}` has two zoo files")
    return [_zoo(path, folder) for path in paths]


def _zoo(path: Path, folder: Path) -> Zoo:
    data = _json(path) if path.suffix == ".json" else _yaml(path, "zoo-source")
    if not isinstance(data, dict) or not isinstance(data.get("models"), list) or data.get("schema_version") != 1:
        raise _wrong(path, "zoo-source", "it must hold `schema_version: 1` and a list of `models`")
    files: dict[PurePosixPath, Path] = {}
    models = [_model(path, folder, model, files) for model in data["models"]]
    document = {**data, "models": models}
    _check(path, document)
    return Zoo(plugin=path.stem, document=document, files=tuple(sorted(files.items())))


def _check(path: Path, document: Mapping[str, Any]) -> None:
    """Refuse what clients would refuse: names that are no file's, control characters, paths that leave the index."""
    from mimctl.zoo.document import parse_zoo

    try:
        parse_zoo(document, shown=path.name)
    except IntegrityError as err:
        raise _wrong(path, "zoo-source", err.causes[0]) from err


def _model(path: Path, folder: Path, model: object, files: dict[PurePosixPath, Path]) -> dict[str, Any]:
    if not isinstance(model, dict) or not isinstance(model.get("name"), str):
        raise _wrong(path, "zoo-source", "a model has no name")
    model = dict(model)
    if model.get("config_file"):
        _take(path, folder, model["name"], model["config_file"], files)
    for key in ("weights", "log"):
        if isinstance(model.get(key), dict):
            model[key] = _hashed(path, folder, model["name"], model[key], files)
    if isinstance(model.get("files"), list):
        model["files"] = [_hashed(path, folder, model["name"], each, files) for each in model["files"]]
    return model


def _hashed(
    path: Path, folder: Path, model: str, source: Mapping[str, Any], files: dict[PurePosixPath, Path]
) -> dict[str, Any]:
    """Return a model's file with its hash and its size, where the index is to carry it."""
    if not source.get("file"):
        return dict(source)
    sha256, size = hash_file(_take(path, folder, model, source["file"], files))
    if source.get("sha256") not in (None, sha256):
        raise IntegrityError(
            f"`{source['file']}` of `{model}` is not the file that {path.name} means",
            code="hash-mismatch",
            causes=[f"expected sha256 {source['sha256']}", f"found    sha256 {sha256}"],
        )
    return {**source, "sha256": sha256, "size": size}


def _take(path: Path, folder: Path, model: str, name: object, files: dict[PurePosixPath, Path]) -> Path:
    """Return where a file of the zoo lies; `name` is its path in the index, below zoo/files."""
    inside = PurePosixPath(str(name))
    if inside.is_absolute() or ".." in inside.parts or not inside.is_relative_to(ZOO_FILES):
        raise _wrong(path, "zoo-source", f"`{name}` of `{model}` does not lie below {ZOO_FILES}/")
    source = folder / "files" / inside.relative_to(ZOO_FILES)
    if not source.is_file() or not source.resolve().is_relative_to(folder.resolve()):
        raise _wrong(path, "zoo-source", f"`{model}` names `{name}`, but there is no file `{source}`")
    files[inside] = source
    return source


def _json(path: Path) -> object:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as err:
        raise _wrong(path, "zoo-source", str(err)) from err


def _yaml(path: Path, code: str) -> object:
    import yaml

    try:
        return load_yaml(path.read_bytes())
    except (yaml.YAMLError, ValueError, RecursionError) as err:
        raise _wrong(path, code, str(err).split("\n")[0]) from err
    except FileNotFoundError as err:
        raise UsageError(f"`{path}` does not exist", code=code) from err


def _wrong(path: Path, code: str, cause: str) -> ConfigError:
    return ConfigError(f"`{path}` is malformed", code=code, causes=[cause], origin=Origin(file=str(path)))

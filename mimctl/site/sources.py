"""Reads what an index is made from: wheels in folders, toolboxes.yaml, zoo files. All of it is data to be checked."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from mimctl.errors import ConfigError, IntegrityError, Origin, UsageError
from mimctl.wheels.wheelfile import WheelFacts, hash_file, read_wheel

ZOO_FILES = PurePosixPath("zoo/files")
_BUILD_TEXTS = ("min_torch", "max_torch", "min_driver", "toolkit")
_BUILD_LISTS = ("archs", "ptx", "ops")
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


def find_wheels(places: Iterable[Path]) -> dict[Path, WheelFacts]:
    """Read the wheels in folders (or single files), in order of project, version and name.

    Raises UsageError[no-wheels] where a place does not exist or nothing is found, IntegrityError[duplicate-wheel] where
    two different files have one name, IntegrityError[bad-wheel] for a damaged one.
    """
    found: dict[str, tuple[Path, WheelFacts]] = {}
    for place in places:
        if not place.exists():
            raise UsageError(f"`{place}` does not exist", code="no-wheels", hints=_BUILD_HINT)
        for path in sorted(place.glob("*.whl")) if place.is_dir() else [place]:
            facts = read_wheel(path)
            known = found.setdefault(path.name, (path, facts))
            if known[1].sha256 != facts.sha256:
                raise IntegrityError(
                    f"two different wheels are named `{path.name}`",
                    code="duplicate-wheel",
                    causes=[f"{known[0]} has sha256 {known[1].sha256}", f"{path} has sha256 {facts.sha256}"],
                )
    if not found:
        raise UsageError("no wheels to make an index from", code="no-wheels", hints=_BUILD_HINT)
    ordered = sorted(found.values(), key=lambda item: (item[1].project, _version(item[1].version), item[1].filename))
    return dict(ordered)


_BUILD_HINT = ("build them first: `mimctl wheels build --out DIR`",)


def build_facts(facts: WheelFacts) -> dict[str, Any] | None:
    """Return what the index says of a wheel's build, from the build.json in it; IntegrityError[bad-wheel]."""
    if facts.build is None:
        return None
    texts = {key: facts.build.get(key) for key in _BUILD_TEXTS}
    lists = {key: facts.build.get(key) or [] for key in _BUILD_LISTS}
    wrong = [key for key, value in texts.items() if not (value is None or isinstance(value, str))]
    wrong += [
        key for key, each in lists.items() if not (isinstance(each, list) and all(isinstance(x, str) for x in each))
    ]
    if not _NAME.fullmatch(facts.build["backend"]):
        wrong.append("backend")
    if wrong:
        raise IntegrityError(
            f"`{facts.filename}` is no usable wheel",
            code="bad-wheel",
            causes=[f"its build.json has a wrong `{wrong[0]}`"],
        )
    return {"backend": facts.build["backend"], **texts, **lists}


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
    return Zoo(plugin=path.stem, document=document, files=tuple(sorted(files.items())))


def _model(path: Path, folder: Path, model: object, files: dict[PurePosixPath, Path]) -> dict[str, Any]:
    if not isinstance(model, dict) or not isinstance(model.get("name"), str):
        raise _wrong(path, "zoo-source", "a model has no name")
    model = dict(model)
    if model.get("config_file"):
        _take(path, folder, model["name"], model["config_file"], files)
    weights = model.get("weights")
    if isinstance(weights, dict) and weights.get("file"):
        sha256, size = hash_file(_take(path, folder, model["name"], weights["file"], files))
        if weights.get("sha256") not in (None, sha256):
            raise IntegrityError(
                f"the weights of `{model['name']}` are not those that {path.name} means",
                code="hash-mismatch",
                causes=[f"expected sha256 {weights['sha256']}", f"found    sha256 {sha256}"],
            )
        model["weights"] = {**weights, "sha256": sha256, "size": size}
    return model


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
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as err:
        raise _wrong(path, code, str(err).split("\n")[0]) from err
    except FileNotFoundError as err:
        raise UsageError(f"`{path}` does not exist", code=code) from err


def _wrong(path: Path, code: str, cause: str) -> ConfigError:
    return ConfigError(f"`{path}` is malformed", code=code, causes=[cause], origin=Origin(file=str(path)))


def _version(text: str) -> Any:
    from packaging.version import Version

    return Version(text)

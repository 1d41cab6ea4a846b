"""Read the index of models of a package in OpenMMLab's form (`model-index.yml` and its metafiles) as plain data.

The files are irregular: lists where a mapping belongs, one address or several, texts for numbers, dead paths. Whatever
is readable is returned, the rest is named. A hundred YAML files take longer to parse than all else together, so the
outcome is kept as JSON under the hash of what was read.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from mimctl.errors import IntegrityError, MimctlError
from mimctl.plugin.mim import INDEXES

_FORMAT = 3
"""Raised when the meaning of what is kept changes."""
_MOST_BYTES = 32 << 20
_DEEPEST, _MOST_ITEMS, _LONGEST = 3, 64, 4096
METAFILES = ("metafile.yml", "metafile.yaml", "model-index.yml")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFacts:
    """What the metafiles of a package say: `models` as mappings with name, aliases, collection, config, weights (a list
    of addresses), log, metadata, results (task, dataset, metrics), paper, title (of the paper), readme.

    `problems` is what could not be read.
    """

    models: tuple[Mapping[str, Any], ...]
    problems: tuple[str, ...] = ()


def read_models(root: Path, *, cache_dir: Path | None) -> ModelFacts:
    """Return the models of the package whose `.mim` folder (or repository) is `root`.

    Raises MimctlError[no-zoo] where it has neither an index of models nor metafiles, IntegrityError[bad-zoo] where
    they are larger than 32 MB together or the index leads out of the folder.
    """
    files = list(_files(root, cache_dir))
    if not files:
        raise MimctlError(
            f"`{root}` has no models",
            code="no-zoo",
            causes=[f"there is neither `{INDEXES[0]}` nor a `configs/*/metafile.yml`"],
        )
    bodies = [(path.relative_to(root).as_posix(), path.read_bytes()) for path in files]
    if sum(len(body) for _, body in bodies) > _MOST_BYTES:
        raise IntegrityError(
            f"the metafiles of `{root}` are too large", code="bad-zoo", causes=[f"over {_MOST_BYTES >> 20} MB"]
        )
    kept = _place(cache_dir, "", bodies)
    if (data := _kept(kept, "models", "problems")) is not None:
        return ModelFacts(models=tuple(data["models"]), problems=tuple(data["problems"]))
    facts = parse_metafiles(bodies)
    _keep(kept, models=facts.models, problems=facts.problems)
    return facts


def parse_metafiles(bodies: Sequence[tuple[str, bytes]]) -> ModelFacts:
    """Turn metafiles (name, content) into facts (pure); later files add to earlier ones."""
    collections: dict[str, Mapping[str, Any]] = {}
    models: list[Mapping[str, Any]] = []
    problems: list[str] = []
    for name, body in bodies:
        data = _load(name, body, problems)
        if isinstance(data, Mapping):
            for each in _sequence(data.get("Collections")):
                if isinstance(each, Mapping) and isinstance(each.get("Name"), str):
                    collections[each["Name"]] = each
            entries: Any = data.get("Models")
        else:
            entries = data  # some metafiles are a bare list of models
        for each in _sequence(entries):
            if isinstance(each, Mapping) and isinstance(each.get("Name"), str):
                models.append({**each, "_file": name})
            else:
                problems.append(f"{name}: not a model: {str(each)[:80]!r}")
    return ModelFacts(models=tuple(_model(each, collections, problems) for each in models), problems=tuple(problems))


def _files(root: Path, cache_dir: Path | None) -> Iterator[Path]:
    """Yield the files to read: those that the index imports, the index itself; without one, all metafiles."""
    index = next((root / name for name in INDEXES if (root / name).is_file()), None)
    named = _imports(index, root, cache_dir) if index is not None else []
    if index is not None:
        yield index
    paths = named or sorted(path for name in METAFILES[:2] for path in (root / "configs").glob(f"**/{name}"))
    yield from (path for path in dict.fromkeys(paths) if path.is_file() and path != index)


def _imports(index: Path, root: Path, cache_dir: Path | None) -> list[Path]:
    body = index.read_bytes()
    kept = _place(cache_dir, ".imports", [(index.name, body)])
    known = _kept(kept, "imports")
    if known is None:
        data = _load(index.name, body, [])
        known = {"imports": list(map(str, _sequence(data.get("Import") if isinstance(data, Mapping) else None)))}
        _keep(kept, **known)
    found: list[Path] = []
    for text in known["imports"]:
        path = PurePosixPath(text)
        if path.is_absolute() or ".." in path.parts:
            raise IntegrityError(
                f"`{index}` cannot be read",
                code="bad-zoo",
                causes=[f"it imports `{text}`, which leaves its folder"],
            )
        found += sorted(root.glob(text))
    return found


def _load(name: str, body: bytes, problems: list[str]) -> Any:
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        return yaml.load(body, loader)
    except (yaml.YAMLError, UnicodeDecodeError, ValueError, RecursionError) as err:
        problems.append(f"{name}: not YAML: {' '.join(str(err).split())[:160]}")
        return None


def _model(raw: Mapping[str, Any], collections: Mapping[str, Mapping[str, Any]], problems: list[str]) -> dict[str, Any]:
    collection = raw.get("In Collection")
    parent = collections.get(collection, {}) if isinstance(collection, str) else {}
    metadata = {**_mapping(parent.get("Metadata")), **_mapping(raw.get("Metadata"))}
    weights = [each for each in _sequence(raw.get("Weights")) if isinstance(each, str) and each]
    configs = [each for each in _sequence(raw.get("Config")) if isinstance(each, str) and each]
    if raw.get("Weights") and not weights:
        problems.append(f"{raw['_file']}: the weights of `{raw['Name']}` are no address")
    return {
        "name": raw["Name"],
        "alias": [each for each in _sequence(raw.get("Alias")) if isinstance(each, str)],
        "collection": collection if isinstance(collection, str) else "",
        "config": configs[0] if configs else None,
        "weights": weights,
        "log": _address(raw.get("Training Log")) or _address(raw.get("Training log")),
        "metadata": _plain(metadata),
        "results": [_result(each) for each in _sequence(raw.get("Results")) if isinstance(each, Mapping)],
        "paper": _address(raw.get("Paper")) or _address(parent.get("Paper")),
        "title": _title(raw.get("Paper")) or _title(parent.get("Paper")),
        "readme": _address(raw.get("README")) or _address(parent.get("README")),
        "file": raw["_file"],
    }


def _result(raw: Mapping[str, Any]) -> dict[str, Any]:
    texts = {name: str(raw[key]) if raw.get(key) else "" for name, key in (("task", "Task"), ("dataset", "Dataset"))}
    return {**texts, "metrics": _plain(_mapping(raw.get("Metrics")))}


def _sequence(value: Any) -> list[Any]:
    if value is None:
        return []
    return list(value) if isinstance(value, list | tuple) else [value]


def _mapping(value: Any) -> dict[str, Any]:
    return {str(key): each for key, each in value.items()} if isinstance(value, Mapping) else {}


def _address(value: Any) -> str | None:
    """Return a paper or page: a text, the first of a list, or the URL of a mapping."""
    first = next(iter(_sequence(value)), None)
    if isinstance(first, Mapping):
        first = first.get("URL")
    return first if isinstance(first, str) and first else None


def _title(value: Any) -> str | None:
    """Return the title of a paper that is a mapping, or of the first of several."""
    first = next(iter(_sequence(value)), None)
    title = first.get("Title") if isinstance(first, Mapping) else None
    return title if isinstance(title, str) and title else None


def _plain(value: Any, depth: int = 0) -> Any:
    """Return a YAML value as JSON knows it: dates and other kinds become texts.

    What is nested deeper than any metafile is left out: aliases of aliases would unfold without end.
    """
    if depth > _DEEPEST:
        return None
    if isinstance(value, Mapping):
        return {str(key)[:_LONGEST]: _plain(each, depth + 1) for key, each in list(value.items())[:_MOST_ITEMS]}
    if isinstance(value, list | tuple | set):
        return [_plain(each, depth + 1) for each in list(value)[:_MOST_ITEMS]]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if value is None or isinstance(value, int | float | bool) else str(value)[:_LONGEST]


def _place(cache_dir: Path | None, kind: str, bodies: Sequence[tuple[str, bytes]]) -> Path | None:
    """Return where what was read off files (name, content) is kept: YAML takes a second to read, JSON milliseconds."""
    if cache_dir is None:
        return None
    digest = hashlib.sha256(f"{_FORMAT}".encode())
    for name, body in bodies:
        digest.update(f"\0{name}\0{len(body)}\0".encode() + body)
    return cache_dir / "metafiles" / f"{digest.hexdigest()}{kind}.json"


def _kept(path: Path | None, *keys: str) -> dict[str, list[Any]] | None:
    """Return what is kept, lists under `keys`; None where nothing (readable) is."""
    if path is None:
        return None
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        return data if all(isinstance(data[key], list) for key in keys) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _keep(path: Path | None, **data: Sequence[Any]) -> None:
    """Keep the outcome; a cache that cannot be written is as good as none."""
    if path is None:
        return
    from mimctl.transfer import write_file

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_file(path, json.dumps(data, ensure_ascii=False).encode("utf-8", "replace"))
    except OSError:
        return

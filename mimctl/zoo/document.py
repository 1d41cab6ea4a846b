"""The file format of a zoo: `zoo/<plugin>.json`, read with distrust and written without what is not stated."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import PurePosixPath
from typing import Any

from mimctl.errors import IntegrityError
from mimctl.zoo.model import ModelEntry, WeightsSource, Zoo, is_safe_name

SCHEMA_VERSION = 1


def parse_zoo(data: Mapping[str, Any], *, shown: str = "the index") -> Zoo:
    """Turn the content of `zoo/<plugin>.json` into a Zoo; `shown` names its place in messages.

    Names end up in file names, on terminals and on pages, so an entry whose names hold more than letters, digits and
    plain punctuation is refused. Raises IntegrityError[bad-zoo].
    """
    if not isinstance(data, Mapping) or data.get("schema_version") != SCHEMA_VERSION:
        found = data.get("schema_version") if isinstance(data, Mapping) else None
        raise _bad(shown, f"schema version {found!r}, this mimctl reads {SCHEMA_VERSION}")
    try:
        models = tuple(_entry(item) for item in data["models"])
        collections = {_one_line(name): _lines(each) for name, each in (data.get("collections") or {}).items()}
        return Zoo(plugin=str(data["plugin"]), models=models, collections=collections)
    except (KeyError, TypeError, ValueError, AttributeError) as problem:
        raise malformed(shown, problem) from problem


def document_of(zoo: Zoo) -> dict[str, Any]:
    """Return the content of `zoo/<plugin>.json`: what an entry does not state is left out."""
    document: dict[str, Any] = {"schema_version": SCHEMA_VERSION, "plugin": zoo.plugin}
    if zoo.collections:
        document["collections"] = {name: dict(each) for name, each in zoo.collections.items()}
    return {**document, "models": [_item(entry) for entry in zoo.models]}


def malformed(shown: str, problem: Exception) -> IntegrityError:
    """Return the error for a zoo with an entry that is not as it should be."""
    return _bad(shown, f"an entry is malformed: {problem!r}"[:200])


def _item(entry: ModelEntry) -> dict[str, Any]:
    values = asdict(entry)
    values["buildable"] = values.pop("is_buildable")
    del values["address"]
    if entry.weights is not None:
        values["weights"] = _stated(values["weights"])
    if entry.log is not None:
        values["log"] = _stated(values["log"])
    values["files"] = tuple(map(_stated, values["files"]))
    return {name: value for name, value in values.items() if value not in (None, "", (), {})}


def _stated(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _entry(item: Mapping[str, Any]) -> ModelEntry:
    weights = item.get("weights")
    entry = ModelEntry(
        name=_name(item["name"]),
        aliases=tuple(_name(alias) for alias in item.get("aliases", ())),
        collection=_one_line(item.get("collection") or ""),
        config=_inside(item.get("config")),
        config_source=_one_line(item.get("config_source") or "mimctl"),
        config_file=_inside(item.get("config_file")),
        weights=None if weights is None else _weights(weights),
        log=_weights(item["log"]) if item.get("log") else None,
        parts=tuple(_one_line(each) for each in item.get("parts", ())),
        files=tuple(map(_weights, item.get("files", ()))),
        results=tuple(_plain(each) for each in item.get("results", ())),
        metadata=_plain(item.get("metadata") or {}),
        is_buildable=item.get("buildable") is True,
        address=item.get("address"),
    )
    if entry.weights is not None:
        _name(entry.weights.filename)
    if entry.log is not None:
        _name(entry.log.filename)
    return entry


def _weights(item: Mapping[str, Any]) -> WeightsSource:
    size = item.get("size")
    for digits in (item.get("sha256"), item.get("sha8")):
        if digits is not None and not re.fullmatch(r"[0-9a-f]{7,64}", digits):
            raise ValueError(f"not a hash: {digits!r}")
    return WeightsSource(
        url=None if item.get("url") is None else _one_line(item["url"]),
        sha256=item.get("sha256"),
        sha8=item.get("sha8"),
        size=None if size is None else int(size),
        file=_inside(item.get("file")),
    )


def _name(text: object) -> str:
    if not isinstance(text, str) or not is_safe_name(text):
        raise ValueError(f"not a name: {text!r}")
    return text


def _one_line(text: object) -> str:
    if not isinstance(text, str) or not text.isprintable():
        raise ValueError(f"not a line of text: {text!r}")
    return text


def _lines(values: Mapping[str, Any]) -> dict[str, str]:
    return {_one_line(name): _one_line(value) for name, value in values.items()}


def _plain(values: object) -> Any:
    """Check a mapping of facts: plain values, and texts that can be shown as they are."""
    if isinstance(values, str):
        return _one_line(values)
    if isinstance(values, dict):
        return {_one_line(name): _plain(value) for name, value in values.items()}
    if isinstance(values, list | tuple):
        return [_plain(each) for each in values]
    return values


def _inside(text: object) -> str | None:
    """Check a relative path that must stay inside its folder."""
    if text is None:
        return None
    path = _one_line(text)
    parts = path.split("/")
    if path.startswith("/") or ".." in parts or "\\" in path:
        raise ValueError(f"not a path inside the index: {text!r}")
    return path if "" not in parts and "." not in parts else str(PurePosixPath(path))


def _bad(shown: str, cause: str) -> IntegrityError:
    return IntegrityError(
        f"the model list of {shown} cannot be read",
        code="bad-zoo",
        causes=[cause],
        hints=["build the index again with this mimctl: `mimctl index build`"],
    )

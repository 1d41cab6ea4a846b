"""The model zoo as data: entries, their file format, and the entry that a short name means."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import PurePosixPath
from typing import Any

from mimctl.errors import IntegrityError, MimctlError, did_you_mean, nearest

SCHEMA_VERSION = 1
_DIGITS_IN_NAME = re.compile(r"[-_]([0-9a-f]{7,8})(?:[-_]20\d{6})?\.(?:pth|safetensors)$")
_DATE = re.compile(r"20\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])")
_SCHEDULE = re.compile(r"[_-]\d+x(?:b\d+)?[_-]")
_PLAIN_URL = re.compile(r"https?://[\w.:-]+(?:/[\w.+=-]+)+")
_SAFE_NAME = re.compile(r"[\w][\w .+(),=@-]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightsSource:
    """Where the weights of a model lie and what is known of their bytes.

    `url` is the published address; `file` a path inside the index that holds the entry (either may be None).
    `sha256` is the whole hash, `sha8` its first 7 or 8 digits as the file's name has them.
    """

    url: str | None = None
    sha256: str | None = None
    sha8: str | None = None
    size: int | None = None
    file: str | None = None

    @property
    def filename(self) -> str:
        """Return the name of the weights file."""
        if self.url is not None and _PLAIN_URL.fullmatch(self.url):  # of thousands, nearly all
            return self.url.rpartition("/")[2]
        from urllib.parse import unquote, urlsplit

        if self.url is not None and self.url.lower().startswith("hf://"):
            from mimctl.transfer.hub import find_place

            return PurePosixPath(find_place(self.url).path).name
        return PurePosixPath(unquote(urlsplit(self.url or self.file or "").path)).name


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelEntry:
    """One model of a toolbox's zoo.

    `config` is a path inside `configs/` of the toolbox or of `config_source` ("mimctl", or the distribution that
    published it, "mmdet==3.3.0"); `config_file` a flattened config inside the index, where it carries one. `results`
    are the published figures: {"task", "dataset", "metrics": {name: number}}; `metadata` is what else its metafile
    states, in its words (`Parameters`, `Epochs`, `Training Data`). `log` is the published log of its training; `parts`
    are the addresses of weights that only together are the model (a tracker's detector and its re-identification);
    `files` are further files of it in the index (the weights in another format, its metafile). `is_buildable`: this
    toolbox builds it. `address` is the root of the index that the entry came from; no part of its file.
    """

    name: str
    aliases: tuple[str, ...] = ()
    collection: str = ""
    config: str | None = None
    config_source: str = "mimctl"
    config_file: str | None = None
    weights: WeightsSource | None = None
    log: WeightsSource | None = None
    parts: tuple[str, ...] = ()
    files: tuple[WeightsSource, ...] = ()
    results: tuple[Mapping[str, Any], ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)
    is_buildable: bool = False
    address: str | None = None

    @property
    def short_names(self) -> tuple[str, ...]:
        """Return all exact names of the entry: its own, its aliases, its config's and its weights' stems."""
        stems = [PurePosixPath(self.config).stem] if self.config else []
        if self.weights is not None:
            stems.append(self.weights.filename.rpartition(".")[0])
        return (self.name, *self.aliases, *stems)


@dataclass(frozen=True, slots=True, kw_only=True)
class Zoo:
    """All entries of one toolbox, in the order of their file.

    `collections` holds what is said of a family of models: name → `paper` and `readme` (addresses), `title`.
    """

    plugin: str
    models: tuple[ModelEntry, ...] = ()
    collections: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


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


def resolve_name(entries: Sequence[ModelEntry], text: str) -> ModelEntry:
    """Return the entry that a person means by `text`.

    In this order: an exact name, alias, config or weights name; the same without regard to case and to `-` or `_`;
    the one entry whose name goes on after `text` (`rtmdet_s` → `rtmdet_s_8xb32-300e_coco`).
    Raises MimctlError: `model-ambiguous` with all that fit, `unknown-model` with the nearest names.
    """
    wanted = PurePosixPath(text).name.removesuffix(".py").removesuffix(".pth").removesuffix(".safetensors")
    folded = _fold(wanted).rstrip("-")
    for fits in (
        lambda entry: entry.name == wanted,
        lambda entry: wanted in entry.short_names,
        lambda entry: folded in map(_fold, entry.short_names),
        lambda entry: any(_fold(name).startswith(f"{folded}-") for name in (entry.name, *entry.aliases)),
    ):
        hits = [entry for entry in entries if fits(entry)] if folded else []
        if len({(hit.name, hit.weights) for hit in hits}) == 1:
            return next((hit for hit in hits if hit.config), hits[0])  # one model, listed again
        if hits:
            raise _ambiguous(text, hits)
    raise _unknown(text, folded, entries)


def digits_in_name(filename: str) -> str | None:
    """Return the first digits of the SHA-256 that a weights file's name carries, or None.

    OpenMMLab's names end in `-<7 or 8 hex digits>.pth` (or the digits come before a date); a bare date is no hash.
    """
    found = _DIGITS_IN_NAME.search(filename)
    return None if found is None or _DATE.fullmatch(found[1]) else found[1]


def is_safe_name(text: object) -> bool:
    """Return whether `text` can be a file's name and shown on a terminal or a page as it is."""
    return isinstance(text, str) and _SAFE_NAME.fullmatch(text) is not None


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


def _fold(text: str) -> str:
    return text.lower().replace("_", "-")


def _ambiguous(text: str, hits: Sequence[ModelEntry]) -> MimctlError:
    names = [entry.name for entry in hits]
    are_same = len(set(names)) < len(names)
    if are_same:  # several entries of one name differ by their weights
        names = [entry.weights.filename.rpartition(".")[0] for entry in hits if entry.weights is not None]
    shown = sorted(names)[:20]
    more = [f"… and {len(names) - len(shown)} more"] if len(names) > len(shown) else []
    return MimctlError(
        f"`{_shown(text)}` fits {len(hits)} models",
        code="model-ambiguous",
        causes=[*shown, *more],
        hints=[f"name one of them: `--config {shown[0]}`"] if shown else [],
        details={"candidates": sorted(names)},
    )


def _unknown(text: str, folded: str, entries: Iterable[ModelEntry]) -> MimctlError:
    names = {entry.name for entry in entries} | {alias for entry in entries for alias in entry.aliases}
    names |= {_SCHEDULE.split(entry.name)[0] for entry in entries}
    inside = sorted(name for name in names if folded and folded in _fold(name))
    near = list(dict.fromkeys([*nearest(text, names), *inside]))[:3]
    return MimctlError(
        f"no model `{_shown(text)}` in the zoo",
        code="unknown-model",
        hints=[*did_you_mean(near), "all names: `mimctl search TOOLBOX --valid-config`"],
    )


def _shown(text: str) -> str:
    return "".join(letter if letter.isprintable() else "�" for letter in text)[:120]


def malformed(shown: str, problem: Exception) -> IntegrityError:
    """Return the error for a zoo with an entry that is not as it should be."""
    return _bad(shown, f"an entry is malformed: {problem!r}"[:200])


def _bad(shown: str, cause: str) -> IntegrityError:
    return IntegrityError(
        f"the model list of {shown} cannot be read",
        code="bad-zoo",
        causes=[cause],
        hints=["build the index again with this mimctl: `mimctl index build`"],
    )

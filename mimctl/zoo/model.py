"""The model zoo as data: the models of one toolbox, where their weights lie, what was published of them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

_DIGITS_IN_NAME = re.compile(r"[-_]([0-9a-f]{7,8})(?:[-_]20\d{6})?\.(?:pth|safetensors)$")
_DATE = re.compile(r"20\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])")
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


def digits_in_name(filename: str) -> str | None:
    """Return the first digits of the SHA-256 that a weights file's name carries, or None.

    OpenMMLab's names end in `-<7 or 8 hex digits>.pth` (or the digits come before a date); a bare date is no hash.
    """
    found = _DIGITS_IN_NAME.search(filename)
    return None if found is None or _DATE.fullmatch(found[1]) else found[1]


def is_safe_name(text: object) -> bool:
    """Return whether `text` can be a file's name and shown on a terminal or a page as it is."""
    return isinstance(text, str) and _SAFE_NAME.fullmatch(text) is not None

"""What is irregular in lists of models: names that come twice, configs that are not there, addresses that cannot be."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from mimctl.config.weight_names import FETCHED
from mimctl.errors import distance
from mimctl.zoo.model import Zoo, digits_in_name, is_safe_name

_NEAR = 4
"""So few letters away from the host of most weights, a host is taken for a slip of the pen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One fault, and the metafile or entry that has it."""

    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


def find_faults(models: Sequence[Mapping[str, Any]], has_config: Callable[[str], bool]) -> list[Finding]:
    """Return the faults of models as `metafile.read_models` returns them, in their order."""
    names = Counter(str(model.get("name")) for model in models)
    usual = _usual_host(url for model in models for url in model.get("weights") or ())
    return [
        Finding(where=str(model.get("file") or "?"), what=what)
        for model in models
        for what in _faults(model, names, usual, has_config)
    ]


def faults_of(zoo: Zoo) -> list[Finding]:
    """Return what is irregular in a source of the catalogue."""
    names = Counter(entry.name for entry in zoo.models)
    found = [
        Finding(where=zoo.plugin, what=f"`{name}` comes {times} times") for name, times in names.items() if times > 1
    ]
    usual = _usual_host(entry.weights.url for entry in zoo.models if entry.weights is not None and entry.weights.url)
    for entry in zoo.models:
        url = entry.weights.url if entry.weights is not None else None
        if entry.config is None and entry.config_file is None:
            found.append(Finding(where=entry.name, what="its config is not in the package that published it"))
        if url and (what := _host_fault(url, usual)):
            found.append(Finding(where=entry.name, what=what))
        if entry.weights is not None and not (entry.weights.sha256 or entry.weights.sha8):
            found.append(Finding(where=entry.name, what="nothing is known of the bytes of its weights"))
    return found


def _faults(
    model: Mapping[str, Any], names: Mapping[str, int], usual: str, has_config: Callable[[str], bool]
) -> Iterator[str]:
    name, config = str(model.get("name")), str(model.get("config") or "")
    shown = name if name.isprintable() else repr(name)
    if not is_safe_name(name):
        yield f"the name {name[:80]!r} fits no file: it is left out"
    if names[name] > 1:
        yield f"`{shown}` comes {names[name]} times"
    if config and not has_config(config.removeprefix("configs/")):
        yield f"the config of `{shown}` is not there: {config[:160]!r}"
    for url in model.get("weights") or ():
        if what := _host_fault(url, usual):
            yield f"`{shown}`: {what}"
        elif digits_in_name(urlsplit(url).path) is None:
            yield f"`{shown}`: nothing is known of the bytes of {url[:160]!r}"


def _usual_host(urls: Iterable[str]) -> str:
    hosts = Counter(urlsplit(url).hostname or "" for url in urls)
    return hosts.most_common(1)[0][0] if hosts else ""


def _host_fault(url: str, usual: str) -> str | None:
    parts = urlsplit(url)
    if parts.scheme not in FETCHED or not parts.hostname:
        return f"{url[:160]!r} is no address"
    if parts.hostname != usual and distance(parts.hostname, usual) <= _NEAR:
        return f"the host `{parts.hostname}` is nearly, but not, `{usual}`"
    return None

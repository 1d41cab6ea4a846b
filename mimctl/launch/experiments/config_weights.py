"""The weights that a run with a config loads by address: found before the start, because the engine fetches nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from mimctl.config.language.environment import address_errors
from mimctl.config.schema import RUNNER_KEYS
from mimctl.config.values import ConfigDict, LazyReference, walk
from mimctl.config.weight_names import find_named, is_short_name, is_whole_address
from mimctl.errors import ConfigError

if TYPE_CHECKING:
    from mimctl.config import Config

_SUFFIXES = (".pth", ".pt", ".safetensors", ".bin", ".ckpt", ".tar")


def is_address(value: object) -> bool:
    """Whether a config value names something on the network (or a table of addresses) and no local file."""
    return isinstance(value, str) and "://" in value and not value.startswith("file://")


def remote_weights(config: Mapping[str, Any], *, only_load_from: bool = False) -> dict[str, str]:
    """Return address → the dotted path where a run's config names it first; variables of the config are no part of it.

    Looked at are `load_from`, every `init_cfg` with `Pretrained`, and further values of the model that are addresses
    of weights (`pretrained='torchvision://resnet50'`). `only_load_from` is for runs that load a whole checkpoint.
    """
    _refuse_environment(config)
    found: dict[str, str] = {}
    if is_address(config.get("load_from")):
        found[config["load_from"]] = "load_from"
    for key in () if only_load_from else [each for each in config if each in RUNNER_KEYS]:
        for path, holder in walk(config[key], key):
            for name, value in _named_in(holder, is_model=key == "model"):
                found.setdefault(value, f"{path}.{name}")
    return found


def weights_errors(config: Config, *, only_load_from: bool = False) -> list[ConfigError]:
    """Return an error, with its place, for every address of weights from which nothing can be fetched."""
    errors = address_errors(config)
    if errors:
        return errors
    for address, path in remote_weights(config, only_load_from=only_load_from).items():
        if not is_whole_address(address):
            try:
                find_named(address, origin=config.origin(path))
            except ConfigError as err:
                errors.append(err)
    return errors


def _refuse_environment(config: Mapping[str, Any]) -> None:
    """Raise where an address of weights depends on an environment variable: nothing of this config is fetched then."""
    for error in address_errors({key: config[key] for key in ("model", "load_from") if key in config}):
        raise error


def from_scratch(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the overrides that leave no weights to start from: no `load_from`, no pretrained part of the model.

    Other entries of an `init_cfg` list stay; further addresses of weights in the model become None.
    """
    model = config.get("model", {})
    changes: dict[str, Any] = {"load_from": None}
    for path, holder in walk(model, "model"):
        if _is_pretrained(holder):
            if path.endswith(".init_cfg"):
                changes[path] = None
            continue
        starts = holder.get("init_cfg")
        if isinstance(starts, list | tuple) and any(map(_is_pretrained_entry, starts)):
            changes[f"{path}.init_cfg"] = [each for each in starts if not _is_pretrained_entry(each)]
        changes |= {f"{path}.{name}": None for name, _ in _named_in(holder, is_model=True)}
    return changes


def _is_pretrained_entry(value: object) -> bool:
    return isinstance(value, Mapping) and _is_pretrained(value)


def _named_in(holder: ConfigDict, *, is_model: bool) -> Iterator[tuple[str, str]]:
    """Yield (key, address) of the weights that a dict names itself."""
    if _is_pretrained(holder) and is_address(holder.get("checkpoint")):
        yield "checkpoint", holder["checkpoint"]
        return
    for name, value in holder.items() if is_model else ():
        if is_short_name(value) or (is_address(value) and _is_fetched(value)):
            yield str(name), value


def _is_pretrained(holder: Mapping[str, Any]) -> bool:
    kind = holder.get("type")
    name = kind.type_name if isinstance(kind, LazyReference) else kind
    return isinstance(name, str) and name.rpartition(".")[2] in ("Pretrained", "PretrainedInit")


def _is_fetched(address: str) -> bool:
    """Return whether an address ends in the name of a file of weights; behind an `@` may stand a revision."""
    parts = address.partition("?")[0].split("@")
    return is_whole_address(address) and any(each.endswith(_SUFFIXES) for each in parts)

"""The model that a person means by a name: exact, short, or begun."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath

from mimctl.errors import MimctlError, did_you_mean, nearest
from mimctl.zoo.model import ModelEntry

_SCHEDULE = re.compile(r"[_-]\d+x(?:b\d+)?[_-]")


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

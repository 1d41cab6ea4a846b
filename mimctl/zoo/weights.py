"""Weights in the cache: fetched once from the published address or a mirror, verified, kept by their hash."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias
from urllib.parse import quote

from mimctl.config.weight_names import find_named, known_hash
from mimctl.errors import IntegrityError, UsageError
from mimctl.settings import Settings
from mimctl.transfer import FileProgress, Note, download, is_elsewhere, local_path, locked, redact
from mimctl.transfer.cache import mark_used, open_cache
from mimctl.transfer.verify import Expected
from mimctl.zoo.mirrors import bring, mirrored
from mimctl.zoo.model import WeightsSource, digits_in_name, is_safe_name
from mimctl.zoo.pins import Pin, pin_of
from mimctl.zoo.way import transfer_settings

Check: TypeAlias = Literal["sha256", "32-bit", "none"]
"""What stands behind the bytes: a whole hash, the 7 or 8 digits in the name (28 or 32 bits), nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CachedWeights:
    """Weights that lie in the cache."""

    path: Path
    sha256: str
    check: Check
    is_new: bool
    """Whether they were fetched just now."""


def obtain(
    source: WeightsSource,
    *,
    settings: Settings,
    address: str | None = None,
    mirrors: Mapping[str, str] | None = None,
    progress: FileProgress | None = None,
    note: Note | None = None,
) -> CachedWeights:
    """Return the weights that `source` describes from the cache, fetching them where they are not there.

    A `file` of the index at `address` comes first, else the published `url`, through `mirrors` (host → address that
    stands for it; `ANY_HOST` for all hosts), with the published host as the last resort. The whole SHA-256 is
    remembered at the first fetch and asked for ever after; that of a file on the Hugging Face Hub is the one it tells.
    Raises what `transfer.download` raises; IntegrityError never leads to another mirror.
    """
    addresses = _addresses(source, address, {**settings.mirrors, **(mirrors or {})})
    open_cache(settings.cache_dir, note)
    kept = find_kept(source, settings=settings, address=address)
    if kept is not None:
        mark_used(kept.path, always=True)
        return kept
    pin = _pin(source, settings, address)
    pin.path.parent.mkdir(parents=True, exist_ok=True)
    with locked(pin.path, note):
        kept = find_kept(source, settings=settings, address=address)
        if kept is not None:
            return kept
        return _fetch(source, addresses, pin, settings, progress, note)


def _fetch(
    source: WeightsSource,
    addresses: Sequence[str],
    pin: Pin,
    settings: Settings,
    progress: FileProgress | None,
    note: Note | None,
) -> CachedWeights:
    """Fetch weights beside the others, move them to the folder of their hash, and write that down."""
    cache, name = settings.cache_dir / "weights", source.filename
    pinned = source.sha256 or (_pinned(pin, source.sha8) if is_elsewhere(source.url or "") else None)
    incoming = cache / "incoming" / pin.path.stem / name
    try:
        brought = bring(
            addresses,
            incoming,
            Expected(sha256=pinned, sha256_prefix=source.sha8, size=source.size),
            published=() if source.url is None else (source.url,),
            settings=transfer_settings(settings),
            progress=None if progress is None else lambda done, total: progress(name, done, total),
            note=note,
        )
    except BaseException:
        _remove_if_empty(incoming.parent)  # a partial file stays, to be resumed
        raise
    sha256 = brought.sha256
    path = cache / sha256 / name
    path.parent.mkdir(parents=True, exist_ok=True)
    incoming.replace(path)
    incoming.parent.rmdir()
    is_told = pin.facts.get("check") == "sha256" or brought.expected.sha256 not in (None, pinned)
    check = _check(source, is_told=is_told)
    url = redact(source.url or addresses[-1])
    pin.write(sha256=sha256, size=path.stat().st_size, name=name, check=check, url=url)
    return CachedWeights(path=path, sha256=sha256, check=check, is_new=True)


def find_kept(source: WeightsSource, *, settings: Settings, address: str | None = None) -> CachedWeights | None:
    """Return the weights that `source` describes where they lie in the cache; nothing is asked or written."""
    facts = _pin(source, settings, address).facts
    path = _kept(settings.cache_dir / "weights", facts, source)
    if path is None:
        return None
    check = _check(source, is_told=facts.get("check") == "sha256")
    return CachedWeights(path=path, sha256=path.parent.name, check=check, is_new=False)


def adopt_weights(url: str, path: Path, sha256: str, *, settings: Settings, note: Note | None = None) -> Path:
    """Put a local file into the cache as the weights that configs know by `url`, and return where it lies.

    Raises IntegrityError[hash-mismatch] where its bytes are others than `sha256`, or than the digits in its name.
    """
    source, known = WeightsSource(url=url, sha256=sha256), source_of(url)
    digits = known.sha256 or known.sha8 or ""
    if not sha256.startswith(digits):
        raise IntegrityError(
            f"`{path.name}` holds other weights than `{redact(url)}` names",
            code="hash-mismatch",
            causes=[f"sha256 expected {digits}{'' if known.sha256 else '…'}", f"sha256 found    {sha256}"],
        )
    pin = _pin(source, settings, None)
    place = settings.cache_dir / "weights" / sha256 / source.filename
    open_cache(settings.cache_dir, note)
    pin.path.parent.mkdir(parents=True, exist_ok=True)
    with locked(pin.path, note):
        download(str(path.absolute()), place, sha256=sha256, settings=transfer_settings(settings))
        pin.write(sha256=sha256, size=place.stat().st_size, name=source.filename, url=redact(url))
    return place


def fetch_weights(
    url: str,
    *,
    settings: Settings,
    sha256: str | None = None,
    mirrors: Mapping[str, str] | None = None,
    progress: FileProgress | None = None,
    note: Note | None = None,
) -> Path:
    """Return a local file with the weights that a config names by `url`, fetched into the cache where it is not there.

    The digits of the hash in the file's name are checked (32 bits); a whole `sha256` takes their place. A path is
    returned as it is, a `file://` address as its path, `torchvision://resnet50` and its like as what the name stands
    for. Raises UsageError[bad-url], ConfigError[unknown-weights-address], and what `download` raises.
    """
    if "://" not in url or url.lower().startswith("file://"):
        return local_path(url)
    source = source_of(url, sha256=sha256)
    found = obtain(source, settings=settings, mirrors=mirrors, progress=progress, note=note)
    if found.is_new and found.check != "sha256" and note is not None:
        note(check_of(source.filename, found.check))
    return found.path


def check_of(name: str, check: Check) -> str:
    """Return one line on what little stands behind a file's bytes, where that is less than a whole hash."""
    if check == "32-bit":
        return f"`{name}`: 32-bit check only (the name holds the first digits of the hash)"
    return f"`{name}`: not checked (nothing says what its hash should be)"


def source_of(url: str, *, sha256: str | None = None) -> WeightsSource:
    """Return the published address that a config means by `url` (an address or a short name), and its known hash.

    Raises ConfigError[unknown-weights-address] for a name without an address, UsageError[bad-url].
    """
    if not is_elsewhere(url):
        url = find_named(redact(url)).url
    source = WeightsSource(url=url)
    if not is_safe_name(source.filename):
        raise UsageError(f"`{redact(url)}` ends in no file name", code="bad-url", hints=["name the file itself"])
    known = sha256 or known_hash(url)
    if known is not None and len(known) == 64:
        return WeightsSource(url=url, sha256=known)
    return WeightsSource(url=url, sha8=known or digits_in_name(source.filename))


def _addresses(source: WeightsSource, address: str | None, mirrors: Mapping[str, str]) -> list[str]:
    """Return where the bytes may come from, the best first; the published address is the last."""
    found: list[str] = []
    if source.file is not None and address is not None:
        file = quote(source.file) if "://" in address else source.file
        found.append(f"{address.rstrip('/')}/{file}")
    if source.url is not None:
        found.extend([*mirrored(source.url, mirrors), source.url])
    return found


def _pin(source: WeightsSource, settings: Settings, address: str | None) -> Pin:
    """Return where it is noted what a source hashed to, by its published address or by its place in the index."""
    return pin_of(source.url or _addresses(source, address, {})[-1], settings.cache_dir / "weights")


def _check(source: WeightsSource, *, is_told: bool) -> Check:
    return "sha256" if source.sha256 or is_told else "32-bit" if source.sha8 else "none"


def _kept(cache: Path, facts: Mapping[str, object], source: WeightsSource) -> Path | None:
    """Return the file in the cache that `source` means, or None. Only its length is compared: its bytes were before."""
    digits = source.sha256 or source.sha8
    sha256 = source.sha256 or facts.get("sha256")
    if not isinstance(sha256, str) or not sha256.startswith(digits or ""):
        return None
    if source.sha256 is None and not is_elsewhere(source.url or ""):
        return None  # a local file or a file of an index, without a hash: what lies there now counts
    path = cache / sha256 / source.filename
    size = facts.get("size") if facts.get("sha256") == sha256 else source.size
    if not path.is_file() or (size is not None and path.stat().st_size != size):
        return None
    return path


def _pinned(pin: Pin, digits: str | None) -> str | None:
    sha256 = pin.sha256
    return sha256 if sha256 is not None and sha256.startswith(digits or "") else None


def _remove_if_empty(folder: Path) -> None:
    with contextlib.suppress(OSError):
        folder.rmdir()

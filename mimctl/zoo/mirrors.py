"""One file out of several places: mirrors that the user names, then the published addresses, until one answers."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from mimctl.errors import IntegrityError, MimctlError
from mimctl.transfer import Note, Progress, TransferSettings, is_elsewhere, redact, sha256_of
from mimctl.transfer.fetch import fetch_file
from mimctl.transfer.hub import find_place, is_hub
from mimctl.transfer.verify import Digests, Expected

ANY_HOST = "*"
"""The key of a mirror that stands for every host."""

_TRY_NEXT = frozenset({"network", "http-status", "missing-file", "bad-redirect", "store-refused"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Brought:
    """A file that was brought."""

    path: Path
    expected: Expected
    """What was expected of it: more than was known before where the Hugging Face Hub tells the hash of its file."""
    digests: Digests
    """Its hashes, as far as they were computed to verify it."""

    @property
    def sha256(self) -> str:
        """Return its SHA-256, for which it is read only where that was not computed yet."""
        return self.digests.get("sha256") or sha256_of(self.path)


def mirrored(url: str, mirrors: Mapping[str, str]) -> list[str]:
    """Return the addresses on the mirror of the host of `url`: the same path, then the bare file name.

    The host of an `hf://` address is the Hub's, its path that of the https address; that of a store is the bucket.
    """
    parts = urlsplit(find_place(url).url if is_hub(url) else url)
    mirror = mirrors.get(parts.hostname or "") or mirrors.get(parts.netloc) or mirrors.get(ANY_HOST)
    if not mirror or not is_elsewhere(url):
        return []
    root = mirror.rstrip("/")
    name = parts.path.rpartition("/")[2]
    return list(dict.fromkeys([f"{root}{parts.path}", f"{root}/{name}"]))


def bring(
    addresses: Sequence[str],
    dest: Path,
    expected: Expected,
    *,
    published: Collection[str],
    settings: TransferSettings,
    progress: Progress | None = None,
    note: Note | None = None,
) -> Brought:
    """Download from the first of `addresses` that answers.

    `published` are the addresses that a document names; the others the user chose. Raises what `download` raises of
    the last address, with what was wrong with those before; IntegrityError never leads to another address.
    """
    failures: list[str] = []
    addresses = list(dict.fromkeys(addresses))  # several published ones may have one name on a mirror
    for number, address in enumerate(addresses):
        named_by = "" if address in published else None
        try:
            url, told = _looked_up(address, expected, settings, named_by, note)
            digests = fetch_file(url, dest, told, settings=settings, progress=progress, note=note, named_by=named_by)
            return Brought(path=dest, expected=told, digests=digests)
        except MimctlError as problem:
            if isinstance(problem, IntegrityError) or problem.code not in _TRY_NEXT:
                raise
            if number + 1 == len(addresses):
                raise _with_causes(problem, failures) from problem
            failures.append(f"`{redact(address)}`: {problem.causes[0] if problem.causes else problem.message}")
            if note is not None:
                note(f"{failures[-1]}; trying `{redact(addresses[number + 1])}`")
    raise ValueError("no address to fetch from")


def _looked_up(
    address: str, expected: Expected, settings: TransferSettings, named_by: str | None, note: Note | None
) -> tuple[str, Expected]:
    """Return where an address is fetched from, and what is expected of the file there."""
    if not is_hub(address):
        return address, expected
    from mimctl.transfer.hub_facts import as_told

    return as_told(address, expected, settings=settings, note=note, named_by=named_by)


def _with_causes(problem: MimctlError, causes: Sequence[str]) -> MimctlError:
    return type(problem)(
        problem.message,
        code=problem.code,
        causes=[*problem.causes, *causes],
        hints=problem.hints,
        exit_code=problem.exit_code,
        details=problem.details,
    )

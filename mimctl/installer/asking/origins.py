"""Record where something came from that was built or fetched before it was placed (PEP 610)."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import os
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from mimctl.installer.asking.words import Placed
from mimctl.installer.backends.staged import Staged


def origin_of(place: Placed, *, commit: str | None = None) -> str:
    """Return the document that says where a place is: `direct_url.json`, without passwords."""
    address = place.address if "://" in place.address else Path(place.address).as_uri()
    document: dict[str, object] = {"url": _without_login(address)}
    if place.subdirectory:
        document["subdirectory"] = place.subdirectory
    if place.kind == "repository":
        vcs = {"vcs": "git", "requested_revision": place.revision, "commit_id": commit}
        document["vcs_info"] = {key: value for key, value in vcs.items() if value}
    elif place.kind == "folder":
        document["dir_info"] = {}
    else:
        document["archive_info"] = {"hashes": {"sha256": place.sha256}} if place.sha256 else {}
    return json.dumps(document)


def record_origins(wheels: Iterable[Staged], folders: Sequence[Path]) -> None:
    """Write the origin of each placed wheel that has one over what the installer recorded: a file of the cache.

    `folders` are those that packages are installed into. Each file is replaced in one step, never written in place:
    an installer may have linked it from a cache.
    """
    from mimctl.environment.distributions import scan

    told = [each for each in wheels if each.origin is not None]
    if not told:
        return
    there = scan(folders)
    for each in told:
        found = there.get(each.name)
        if found is not None and each.origin is not None:
            _record(found.path, each.origin.encode())


def _record(info: Path, document: bytes) -> None:
    _replace(info / "direct_url.json", document)
    record = info / "RECORD"
    member = f"{info.name}/direct_url.json"
    digest = base64.urlsafe_b64encode(hashlib.sha256(document).digest()).rstrip(b"=").decode()
    rows = [row for row in csv.reader(io.StringIO(record.read_text(encoding="utf-8"))) if row and row[0] != member]
    rows.append([member, f"sha256={digest}", str(len(document))])
    written = io.StringIO()
    csv.writer(written, lineterminator="\n").writerows(sorted(rows))
    _replace(record, written.getvalue().encode())


def _replace(path: Path, content: bytes) -> None:
    mode = path.stat().st_mode & 0o777 if path.exists() else 0o644
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".mimctl-")
    with os.fdopen(handle, "wb") as file:
        file.write(content)
    Path(name).chmod(mode)
    Path(name).replace(path)


def _without_login(address: str) -> str:
    parts = urlsplit(address)
    user, at, host = parts.netloc.rpartition("@")
    keeps_user = at and parts.scheme == "ssh" and ":" not in user  # `git@host` is no secret
    return urlunsplit((*parts[:1], parts.netloc if keeps_user else host, *parts[2:]))

"""Project pages in JSON (PEP 691, 700, 714)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from mimctl.index.collector import Collector, Said, bad_page, check_version


def read_json(reader: Collector, body: bytes) -> None:
    """Collect the files that a document lists; errors as `pages.parse_page`."""
    try:
        data = json.loads(body)
    except (ValueError, RecursionError) as err:
        raise bad_page(reader.shown, f"it is not JSON: {err}") from err
    meta = data.get("meta") if isinstance(data, dict) else None
    files = data.get("files") if isinstance(data, dict) else None
    if not isinstance(meta, dict) or not isinstance(files, list):
        raise bad_page(reader.shown, "it lacks `meta` or `files` (PEP 691)")
    check_version(reader, str(meta.get("api-version", "")))
    for each in files:
        if not isinstance(each, dict):
            raise bad_page(reader.shown, "an entry of `files` is not a JSON object")
        _take_entry(reader, each)


def _take_entry(reader: Collector, entry: Mapping[str, Any]) -> None:
    filename, url, hashes = entry.get("filename"), entry.get("url"), entry.get("hashes")
    if not isinstance(filename, str) or not isinstance(url, str) or not isinstance(hashes, dict):
        raise bad_page(reader.shown, "an entry of `files` lacks `filename`, `url` or `hashes`")
    size, python, sha256 = entry.get("size"), entry.get("requires-python"), hashes.get("sha256")
    metadata: object = entry.get("core-metadata")
    if metadata is None:
        metadata = entry.get("dist-info-metadata")
    if isinstance(metadata, dict):
        metadata = metadata.get("sha256") or True
    yanked = entry.get("yanked")
    reader.take(
        url.partition("#")[0],
        filename,
        sha256=sha256 if isinstance(sha256, str) else None,
        metadata=metadata if isinstance(metadata, str) else metadata is True,
        size=size if isinstance(size, int) and size >= 0 else None,
        facts=Said(
            requires_python=python if isinstance(python, str) and python else None,
            yanked=(yanked or None) if isinstance(yanked, str) else "no reason given" if yanked else None,
        )
        if python or yanked
        else None,
    )

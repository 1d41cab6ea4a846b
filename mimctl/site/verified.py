"""What was verified of wheels: beside which torch and Python their project's tests passed (`mimctl wheels verify`).

A record is about the bytes of a file, by their sha256. It is the word of whoever ran the tests, unlike an audit, which
every build of an index repeats.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeAlias

from mimctl.errors import UsageError
from mimctl.index.fields import bad_index

FILE = "verified.json"
"""Its place in an index."""
_VERSION = re.compile(r"[0-9][0-9A-Za-z.+]{0,40}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_COUNTS = ("passed", "failed", "skipped")


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Verification:
    """One run of a project's tests with an installed wheel."""

    torch: str
    """With its build: "2.13.0+cpu"."""
    python: str
    """Full version."""
    passed: int
    failed: int
    skipped: int
    """Numbers of tests."""
    is_good: bool
    """Whether all went well: some tests passed, none failed, and pytest ended with 0."""


Verified: TypeAlias = Mapping[str, tuple[Verification, ...]]
"""sha256 of a wheel → the runs with it, in order of torch and Python."""


def read_reports(places: Iterable[Path]) -> Verified:
    """Read what `mimctl wheels verify --json` printed: files, or folders of `*.json`; skipped cells say nothing.

    Raises UsageError[bad-report] where a place holds something else.
    """
    found: list[Verified] = []
    for place in places:
        paths = sorted(place.glob("*.json")) if place.is_dir() else [place]
        if not paths:
            raise _no_report(place, "it holds no `*.json`")
        found += map(_read, paths)
    return merge(found)


def parse_verified(data: object, *, shown: str) -> Verified:
    """Return what the `verified.json` of an index says; MimctlError[bad-index] where it is not as documented."""
    wheels = data.get("wheels") if isinstance(data, dict) and data.get("schema_version") == 1 else None
    if not isinstance(wheels, dict):
        raise bad_index(shown, f"`{FILE}` is of another schema")
    try:
        return _in_order((sha256, _record(run)) for sha256, runs in wheels.items() for run in runs)
    except (KeyError, TypeError, ValueError) as err:
        raise bad_index(shown, f"`{FILE}` has a malformed record") from err


def to_document(verified: Verified, head: Mapping[str, object]) -> dict[str, object]:
    """Return the content of `verified.json`."""
    return {**head, "wheels": {sha256: [asdict(run) for run in runs] for sha256, runs in verified.items()}}


def merge(sources: Sequence[Verified], only: Collection[str] | None = None) -> Verified:
    """Return the records of all; of two runs beside one torch and Python the earlier source's counts.

    `only` are the hashes of the wheels that matter (None: all).
    """
    kept: dict[tuple[str, str, str], Verification] = {}
    for sha256, run in ((sha256, run) for each in sources for sha256, runs in each.items() for run in runs):
        if only is None or sha256 in only:
            kept.setdefault((sha256, run.torch, run.python), run)
    return _in_order((sha256, run) for (sha256, _, _), run in kept.items())


def torches_of(runs: Iterable[Verification]) -> list[str]:
    """Return the versions of torch of some runs, each once, the oldest first."""
    return sorted({run.torch for run in runs}, key=lambda text: (_numbers(text), text))


def _read(path: Path) -> Verified:
    try:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        return _in_order(
            (each["sha256"], _record({**each, "is_good": each["outcome"] == "passed"}))
            for each in cells
            if each["outcome"] != "skipped" and each["torch"]
        )
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as err:
        raise _no_report(path, getattr(err, "strerror", None) or f"{type(err).__name__}: {err}"[:200]) from err


def _record(raw: Mapping[str, Any]) -> Verification:
    counts = {key: raw[key] for key in _COUNTS}
    if not all(type(count) is int and 0 <= count < 10**9 for count in counts.values()):
        raise ValueError(f"numbers of tests: {counts}")
    versions = {key: raw[key] for key in ("torch", "python")}
    if not all(_VERSION.fullmatch(each) for each in versions.values()) or type(raw["is_good"]) is not bool:
        raise ValueError(f"no versions: {versions}")
    return Verification(**versions, **counts, is_good=raw["is_good"])


def _in_order(records: Iterable[tuple[str, Verification]]) -> dict[str, tuple[Verification, ...]]:
    found: dict[str, list[Verification]] = {}
    for sha256, run in records:
        if not _SHA256.fullmatch(sha256):
            raise ValueError(f"no sha256: {sha256!r}")
        found.setdefault(sha256, []).append(run)
    return {sha256: tuple(sorted(found[sha256], key=_order)) for sha256 in sorted(found)}


def _order(run: Verification) -> tuple[list[int], list[int], Verification]:
    return _numbers(run.torch), _numbers(run.python), run


def _numbers(text: str) -> list[int]:
    return [int(digits) for digits in re.findall(r"\d+", text)]


def _no_report(path: Path, cause: str) -> UsageError:
    return UsageError(
        f"`{path}` is no report of verified wheels",
        code="bad-report",
        causes=[cause],
        hints=["make one: `mimctl wheels verify --wheels DIR --json > FILE`"],
    )

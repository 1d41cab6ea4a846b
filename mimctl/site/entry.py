"""One wheel as an index lists it: what its file, its build.json and its audit say; to JSON and back."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from mimctl.errors import IntegrityError
from mimctl.index.document import parse_index
from mimctl.index.fields import bad_index
from mimctl.wheels.audit import AuditReport, audit_wheel
from mimctl.wheels.wheelfile import WheelFacts, read_wheel

MAX_REASON = 300
"""Characters of the reason why a wheel was withdrawn."""
_BUILD_TEXTS = ("min_torch", "max_torch", "min_driver", "toolkit")
_BUILD_LISTS = ("archs", "ptx", "ops")
_BACKEND = re.compile(r"[a-z0-9][a-z0-9_-]*")
_FILENAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+!-]{0,250}\.whl")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One wheel of an index."""

    project: str
    """Normalised (PEP 503)."""
    version: str
    filename: str
    tags: tuple[str, ...]
    sha256: str
    size: int
    metadata_sha256: str
    requires_python: str | None
    requires_dist: tuple[str, ...]
    provides_extra: tuple[str, ...]
    build: Mapping[str, Any] | None
    """What its build.json says, as `index.json` repeats it."""
    audit: Mapping[str, Any] | None
    """What was proved of its libraries; None where it holds none."""
    yanked: str | None = None
    """Why it was withdrawn, "" where nobody said why; None where it was not."""

    @property
    def url(self) -> str:
        """Return its address relative to the site root; `+` and all else that is special is percent-encoded."""
        return f"files/{quote(self.filename, safe='')}"

    @property
    def label(self) -> str | None:
        """Return the local part of the version: `cu13` of 0.1.0+cu13."""
        return self.version.partition("+")[2] or None

    @property
    def backend(self) -> str | None:
        """Return what its operators run on; None for a wheel without operators."""
        return None if self.build is None else str(self.build["backend"])

    @property
    def is_pure(self) -> bool:
        """Return whether it holds nothing compiled and installs on any platform."""
        return self.backend in (None, "python") and all(tag.endswith("-any") for tag in self.tags)

    def to_dict(self) -> dict[str, object]:
        """Return its entry of `index.json`."""
        return {
            "project": self.project,
            "version": self.version,
            "filename": self.filename,
            "url": self.url,
            "tags": list(self.tags),
            "sha256": self.sha256,
            "size": self.size,
            "metadata_sha256": self.metadata_sha256,
            "requires_python": self.requires_python,
            "requires_dist": list(self.requires_dist),
            "provides_extra": list(self.provides_extra),
            "yanked": True if self.yanked == "" else self.yanked,
            "build": self.build,
            "audit": self.audit,
        }


def read_entry(path: Path) -> tuple[Entry, bytes]:
    """Read and audit a wheel; return its entry and its METADATA.

    Raises IntegrityError[bad-wheel] for a damaged one, [wheel-label] where its label and its build.json disagree, and
    MimctlError[wheel-audit] for one that is not what it says.
    """
    facts = read_wheel(path)
    build = _build_facts(facts)
    _check_label(facts, build)
    report = audit_wheel(path, facts=facts)
    entry = Entry(
        project=facts.project,
        version=facts.version,
        filename=facts.filename,
        tags=facts.tags,
        sha256=facts.sha256,
        size=facts.size,
        metadata_sha256=hashlib.sha256(facts.metadata).hexdigest(),
        requires_python=facts.requires_python,
        requires_dist=facts.requires_dist,
        provides_extra=facts.provides_extra,
        build=build,
        audit=_audit_facts(report),
    )
    return entry, facts.metadata


def check_filename(name: str) -> None:
    """Raise IntegrityError[bad-wheel] for a name that no wheel has (PEP 427) or that would leave its folder."""
    from packaging.utils import InvalidWheelFilename, parse_wheel_filename

    cause = "a wheel's name holds letters, digits and `._+!-` only"
    if _FILENAME.fullmatch(name):
        try:
            parse_wheel_filename(name)
        except InvalidWheelFilename as err:
            cause = str(err)
        else:
            return
    raise IntegrityError(f"{name!r} is no usable wheel", code="bad-wheel", causes=[cause])


def clean_reason(text: str) -> str:
    """Return a reason as one line without control characters, cut to MAX_REASON characters."""
    return "".join(letter for letter in " ".join(text.split()) if letter.isprintable())[:MAX_REASON]


def in_order(entries: Iterable[Entry]) -> list[Entry]:
    """Sort by project, version (PEP 440) and name."""
    from packaging.version import Version

    return sorted(entries, key=lambda each: (each.project, Version(each.version), each.filename))


def parse_entries(data: object, address: str) -> list[Entry]:
    """Return the entries of an `index.json` of ours; raise MimctlError[bad-index | index-version] as `parse_index`."""
    files, _ = parse_index(data, address=address)
    raw = data["files"] if isinstance(data, dict) else []
    return [_entry(each, address, build=file.build is not None) for each, file in zip(raw, files, strict=True)]


def _entry(raw: Mapping[str, Any], address: str, *, build: bool) -> Entry:
    """Return an entry that `parse_index` has looked at, after a look at the keys that it does not read."""
    size, metadata, extras, audit = (raw.get(key) for key in ("size", "metadata_sha256", "provides_extra", "audit"))
    is_usable = (
        isinstance(size, int)
        and isinstance(metadata, str)
        and isinstance(extras, list)
        and all(isinstance(each, str) for each in extras)
        and (audit is None or isinstance(audit, dict))
    )
    if not is_usable:
        raise bad_index(address, f"`{raw['filename']}` lacks size, metadata_sha256, provides_extra or audit")
    assert isinstance(size, int)
    assert isinstance(extras, list)
    return Entry(
        project=raw["project"],
        version=raw["version"],
        filename=raw["filename"],
        tags=tuple(raw.get("tags") or ()),
        sha256=raw["sha256"].lower(),
        size=size,
        metadata_sha256=str(metadata),
        requires_python=raw.get("requires_python"),
        requires_dist=tuple(raw.get("requires_dist") or ()),
        provides_extra=tuple(extras),
        build=raw["build"] if build else None,
        audit=audit if isinstance(audit, dict) else None,
        yanked=read_yanked(raw.get("yanked")),
    )


def read_yanked(raw: object) -> str | None:
    """Return the reason in a `yanked` of JSON (PEP 592: text, or true without a reason)."""
    if isinstance(raw, str):
        return clean_reason(raw)
    return "" if raw is True else None


def _build_facts(facts: WheelFacts) -> dict[str, Any] | None:
    """Return what the index says of a wheel's build, from the build.json in it; IntegrityError[bad-wheel]."""
    if facts.build is None:
        return None
    texts = {key: facts.build.get(key) for key in _BUILD_TEXTS}
    lists = {key: facts.build.get(key) or [] for key in _BUILD_LISTS}
    wrong = [key for key, value in texts.items() if not (value is None or isinstance(value, str))]
    wrong += [
        key for key, each in lists.items() if not (isinstance(each, list) and all(isinstance(x, str) for x in each))
    ]
    if not _BACKEND.fullmatch(facts.build["backend"]):
        wrong.append("backend")
    if wrong:
        raise IntegrityError(
            f"`{facts.filename}` is no usable wheel",
            code="bad-wheel",
            causes=[f"its build.json has a wrong `{wrong[0]}`"],
        )
    return {"backend": facts.build["backend"], **texts, **lists}


def _check_label(facts: WheelFacts, build: Mapping[str, Any] | None) -> None:
    label = facts.version.partition("+")[2]
    if not label or (build is not None and build["backend"] == label):
        return
    if build is None and all(tag.endswith("-any") for tag in facts.tags):
        return  # `0.1.dev3+g1a2b3c4` of a pure wheel: no backend is meant
    says = f"was built for `{build['backend']}`" if build else "names no backend: it holds no build.json"
    raise IntegrityError(
        f"`{facts.filename}` is not for the backend that its name says",
        code="wheel-label",
        causes=[f"its version has the label `{label}`, the wheel {says}"],
        hints=["build it again: `mimctl wheels build` writes label and build.json together"],
    )


def _audit_facts(report: AuditReport) -> dict[str, Any] | None:
    if not report.libraries:
        return None
    libraries = [
        {"name": each.name, "machine": each.machine, "needs": list(each.libraries), "weak": list(each.weak_symbols)}
        for each in report.libraries
    ]
    return {"glibc": report.glibc, "needed_glibc": report.needed_glibc, "libraries": libraries}

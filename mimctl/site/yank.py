"""Withdraws wheels of an index, and takes that back: the files stay for those who pin them (PEP 592)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mimctl.errors import MimctlError, UsageError, counted, nearest
from mimctl.index.document import parse_index
from mimctl.site.build import entries_of
from mimctl.site.entry import clean_reason
from mimctl.site.known import recall, remember
from mimctl.site.layout import is_site, link_tree, write_index
from mimctl.site.swap import replacing
from mimctl.site.verified import FILE as VERIFIED
from mimctl.site.verified import Verified, parse_verified
from mimctl.transfer import Note, locked


@dataclass(frozen=True, slots=True, kw_only=True)
class YankReport:
    """What was withdrawn, or brought back."""

    site: Path
    changed: tuple[str, ...]
    unchanged: tuple[str, ...]
    reason: str | None
    """None where wheels were brought back."""


def yank(
    site: Path,
    filenames: Sequence[str],
    *,
    reason: str | None,
    cache_dir: Path | None = None,
    note: Note | None = None,
) -> YankReport:
    """Mark wheels of the index in the folder `site` as withdrawn for `reason` ("": none is given; None: not any more).

    Pages, JSON pages and index.json change in one step. Raises MimctlError[not-an-index] where there is no index,
    UsageError[unknown-wheel] with the nearest names for a wheel that it does not hold; then nothing is changed.
    """
    site = site.absolute()
    if not is_site(site) or site.is_symlink():
        raise MimctlError(
            f"no mimctl index in the folder `{site}`",
            code="not-an-index",
            causes=["it holds no `index.json` that `mimctl index build` wrote"],
            hints=["name the folder: `--out DIR`"],
        )
    with locked(site.with_name(f".{site.name}.index"), note):
        entries = entries_of(site)
        for name in filenames:
            if name not in entries:
                raise _unknown(name, site, list(entries))
        text = None if reason is None else clean_reason(reason)
        changed = tuple(name for name in dict.fromkeys(filenames) if entries[name].yanked != text)
        if changed:
            known = recall(cache_dir, site, entries)
            same = [each.filename for each in entries.values() if known.find(each.filename, each.sha256)]
            entries |= {name: replace(entries[name], yanked=text) for name in changed}
            with replacing(site) as root:
                link_tree(site, root)
                _, torch = parse_index(_json(site / "index.json"), address=str(site))
                write_index(
                    root,
                    list(entries.values()),
                    torch=torch,
                    toolboxes=_json(site / "toolboxes.json")["toolboxes"],
                    verified=_verified(site),
                    num_models={path.stem: len(_json(path)["models"]) for path in sorted(site.glob("zoo/*.json"))},
                )
            remember(cache_dir, site, same, known.sources)
    unchanged = tuple(name for name in dict.fromkeys(filenames) if name not in changed)
    return YankReport(site=site, changed=changed, unchanged=unchanged, reason=text)


def _json(path: Path) -> dict[str, Any]:
    data = json.loads(path.read_text(encoding="utf-8"))
    assert isinstance(data, dict)
    return data


def _verified(site: Path) -> Verified:
    path = site / VERIFIED
    return parse_verified(_json(path), shown=str(site)) if path.is_file() else {}


def _unknown(name: str, site: Path, names: list[str]) -> UsageError:
    near = nearest(name, names) or names[:3]
    return UsageError(
        f"the index has no wheel `{name}`",
        code="unknown-wheel",
        causes=[f"{counted(len(names), 'wheel')} in `{site}`"],
        hints=[f"did you mean `{near[0]}`?"] if near else [],
        details={"nearest": near},
    )

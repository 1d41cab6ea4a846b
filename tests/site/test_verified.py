"""Which tests passed with which wheel: read from reports, kept in the index, shown on its page."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from static_server import Server, read, tree
from tiny_wheels import write_ops_wheel, write_wheel

from mimctl.errors import MimctlError, UsageError
from mimctl.site.build import SiteReport
from mimctl.site.yank import yank
from mimctl.wheels.wheelfile import hash_file

Build = Callable[..., SiteReport]


@pytest.fixture
def wheels(tmp_path: Path) -> Path:
    for backend, version in (("cpu", "0.1.0+cpu"), ("python", "0.1.0")):
        write_ops_wheel(tmp_path / "wheels", backend, version=version)
    write_wheel(tmp_path / "wheels", "mimctl_det-0.1.0-py3-none-any.whl")
    return tmp_path / "wheels"


def cell(wheel: Path | None, torch: str | None = "2.13.0+cpu", **values: object) -> dict[str, object]:
    """Return a cell as `mimctl wheels verify --json` prints it."""
    sha256 = hash_file(wheel)[0] if wheel else None
    counts = {"passed": 254, "failed": 0, "skipped": 3, "seconds": 1.5, "lines": [], "reason": None}
    return {"cell": "x", "outcome": "passed", "sha256": sha256, "torch": torch, "python": "3.11.9", **counts, **values}


def write_report(path: Path, *cells: dict[str, object]) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({"schema_version": 1, "command": "wheels verify", "cells": cells}), encoding="utf-8")
    return path


def matrix(site: Path) -> list[list[str]]:
    """Return the table of what was verified, as text."""
    page = (site / "index.html").read_text(encoding="utf-8")
    table = page.split("<h2>What was verified</h2>")[1].split("<h2>")[0]
    rows = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in re.findall(r"<tr>(.*?)</tr>", table)]
    return [[re.sub(r"<[^>]+>", " ", each).strip() for each in row] for row in rows]


@pytest.fixture
def reports(tmp_path: Path, wheels: Path) -> Path:
    """Reports of three cells, one of which failed and one of which was skipped, and of a wheel that is not here."""
    cpu = next(wheels.glob("*+cpu*"))
    write_report(tmp_path / "reports/a.json", cell(cpu), cell(cpu, "2.9.1+cpu", python="3.12.4"))
    failed = cell(cpu, "2.10.0+cpu", outcome="failed", passed=250, failed=4, reason="4 tests failed")
    skipped = cell(None, None, outcome="skipped", python=None)
    other = {**cell(cpu), "sha256": "0" * 64}
    write_report(tmp_path / "reports/b.json", failed, skipped, other)
    return tmp_path / "reports"


def test_the_page_says_what_was_verified_of_which_build(
    build: Build, wheels: Path, reports: Path, tmp_path: Path
) -> None:
    report = build(tmp_path / "site", wheels, verified=[reports])
    assert [name.split("-")[1] for name in report.verified] == ["0.1.0+cpu"]
    assert matrix(tmp_path / "site") == [
        ["Version", "Build", "Platform", "torch 2.9.1+cpu", "torch 2.10.0+cpu", "torch 2.13.0+cpu"],
        [
            *("0.1.0+cpu", "cpu", "manylinux_2_34_x86_64"),
            "Python 3.12.4:  254 passed , 3 skipped",
            "Python 3.11.9:  250 passed, 4 failed , 3 skipped (not verified)",
            "Python 3.11.9:  254 passed , 3 skipped",
        ],
    ]
    (runs,) = read(tmp_path / "site/verified.json")["wheels"].values()
    assert [run["is_good"] for run in runs] == [True, False, True]


def test_without_reports_nothing_is_claimed(build: Build, wheels: Path, tmp_path: Path) -> None:
    assert build(tmp_path / "site", wheels).verified == ()
    assert matrix(tmp_path / "site") == []
    assert "No tests of these wheels are recorded" in (tmp_path / "site/index.html").read_text(encoding="utf-8")


def test_records_go_along_with_a_published_index_and_stay_when_a_wheel_is_withdrawn(
    build: Build, wheels: Path, reports: Path, tmp_path: Path, serve: Callable[[Path], Server]
) -> None:
    build(tmp_path / "site", wheels, verified=[reports / "a.json"])
    address = serve(tmp_path / "site").address
    build(tmp_path / "merged", others=[address])
    assert tree(tmp_path / "merged") == tree(tmp_path / "site")
    newer = write_report(tmp_path / "newer.json", cell(next(wheels.glob("*+cpu*")), passed=300))
    build(tmp_path / "merged", others=[address], verified=[newer])
    before = matrix(tmp_path / "merged")
    told = ["Python 3.12.4:  254 passed , 3 skipped", "Python 3.11.9:  300 passed , 3 skipped"]
    assert before[1][-2:] == told, "one's own run counts before a published"
    yank(tmp_path / "merged", [next(wheels.glob("*+cpu*")).name], reason="wrong")
    assert matrix(tmp_path / "merged") == before


@pytest.mark.parametrize(
    "body",
    [
        "[]",
        "{",
        '{"cells": [3]}',
        '{"cells": [{"outcome": "passed"}]}',
        json.dumps({"cells": [{**cell(None), "sha256": "0" * 64, "torch": "2.13<b>"}]}),
        json.dumps({"cells": [{**cell(None), "sha256": "0" * 64, "passed": "254"}]}),
        json.dumps({"cells": [{**cell(None), "sha256": "../x"}]}),
        json.dumps({"cells": [cell(None)]}),
    ],
)
def test_a_report_that_is_none_is_refused(build: Build, wheels: Path, tmp_path: Path, body: str) -> None:
    (tmp_path / "report.json").write_text(body, encoding="utf-8")
    for place in (tmp_path / "report.json", tmp_path / "absent.json", wheels):
        with pytest.raises(UsageError) as caught:
            build(tmp_path / "site", wheels, verified=[place])
        assert caught.value.code == "bad-report"
    assert not (tmp_path / "site").exists()


@pytest.mark.parametrize("data", [[], {"schema_version": 2, "wheels": {}}, {"schema_version": 1, "wheels": {"x": [1]}}])
def test_a_published_index_with_malformed_records_is_refused(
    build: Build, wheels: Path, tmp_path: Path, data: Any
) -> None:
    build(tmp_path / "site", wheels)
    (tmp_path / "site/verified.json").write_text(json.dumps(data), encoding="utf-8")
    with pytest.raises(MimctlError) as caught:
        build(tmp_path / "merged", others=[str(tmp_path / "site")])
    assert caught.value.code == "bad-index"

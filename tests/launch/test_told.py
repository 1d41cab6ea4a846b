"""How far a run is, read from the end of its events."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from mimctl.launch.runs import told
from mimctl.launch.runs.told import Told, told_by

EVENTS = st.one_of(
    st.builds(lambda step: {"event": "step", "step": step}, st.integers(0, 9)),
    st.builds(lambda value: {"event": "metrics", "metrics": {"loss": value}}, st.integers(0, 9)),
    st.builds(lambda name: {"event": "checkpoint", "path": name}, st.text(max_size=20)),
    st.builds(lambda text: {"event": "error", "message": text}, st.text(max_size=20)),
    st.builds(lambda text: {"event": "log", "message": text}, st.text(max_size=60)),
)


def told_forwards(events: list[dict[str, Any]]) -> Told:
    found = Told()
    for event in events:
        kind = event["event"]
        if kind == "step":
            found.step, found.error = event, None
        elif kind == "metrics":
            found.metrics = event["metrics"]
        elif kind == "checkpoint":
            found.checkpoint = event["path"]
        elif kind == "error":
            found.error = event
    return found


@given(events=st.lists(EVENTS, max_size=30), block=st.integers(1, 90), torn=st.booleans())
@example(events=[{"event": "error", "message": "a"}, {"event": "log", "message": "b"}], block=1, torn=True)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_the_end_tells_what_the_whole_file_tells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, events: list[dict[str, Any]], block: int, torn: bool
) -> None:
    lines = [json.dumps(each, ensure_ascii=False) for each in events]
    text = "".join(f"{line}\n" for line in lines) + ('{"event": "step", "st' if torn else "")
    (tmp_path / "events.jsonl").write_text(text, encoding="utf-8")
    with monkeypatch.context() as patch:
        patch.setattr(told, "BLOCK_BYTES", block)
        assert told_by(tmp_path / "events.jsonl") == told_forwards(events)


def test_a_run_that_has_told_nothing_yet(tmp_path: Path) -> None:
    assert told_by(tmp_path / "events.jsonl") == Told()


def test_no_more_than_the_end_of_a_huge_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    with path.open("wb") as stream:
        stream.write(b'{"event": "metrics", "metrics": {"a": 1}}\n')
        stream.seek(1 << 33)  # a hole: eight GiB that take no room
        stream.write(b'\n{"event": "step", "step": 3}\n')
    assert told_by(path) == Told(step={"event": "step", "step": 3})

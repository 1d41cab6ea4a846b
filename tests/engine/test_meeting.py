"""Ranks look up where they meet before they wait there."""

from __future__ import annotations

import time

import pytest

from mimctl.engine.ranks import distributed, meeting
from mimctl.errors import MimctlError


def test_a_host_that_nobody_knows_is_one_error_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"RANK": "0", "WORLD_SIZE": "2", "MASTER_PORT": "29400"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MASTER_ADDR", "no-such-host.invalid")
    monkeypatch.setattr(meeting, "PATIENCE_S", 2.0)
    begun = time.monotonic()
    with pytest.raises(MimctlError) as caught:
        distributed.init("slurm")
    assert caught.value.code == "no-meeting-place"
    assert "no-such-host.invalid:29400" in caught.value.message
    assert time.monotonic() - begun < 60
    assert not distributed.is_distributed()


@pytest.mark.parametrize("port", ["", "http", "99999999999"])
def test_a_port_that_is_none_is_told_at_once(monkeypatch: pytest.MonkeyPatch, port: str) -> None:
    monkeypatch.setenv("MASTER_ADDR", "localhost")
    monkeypatch.setenv("MASTER_PORT", port)
    monkeypatch.setattr(meeting, "PATIENCE_S", 0.0)
    with pytest.raises(MimctlError) as caught:
        meeting.require_meeting_place()
    assert caught.value.code == "no-meeting-place"


def test_a_host_that_is_known_is_no_hindrance(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MASTER_ADDR", raising=False)
    meeting.require_meeting_place()
    monkeypatch.setenv("MASTER_ADDR", "localhost")
    monkeypatch.setenv("MASTER_PORT", "0")
    meeting.require_meeting_place()

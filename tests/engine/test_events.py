"""Events, log lines and scalars as they are written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from mimctl.engine.reporting.events import EventWriter, open_events, plain
from mimctl.engine.reporting.log import configure_logging, get_logger, logging_to
from mimctl.engine.reporting.visualization import Visualizer
from mimctl.spec import RunSpec


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_event_is_one_line_of_strict_json(tmp_path: Path) -> None:
    writer = EventWriter(tmp_path / "deep" / "events.jsonl")
    writer.emit("step", scalars={"loss": float("nan"), "lr": torch.tensor(0.5)}, text="ä\nb")
    writer.close()
    writer.emit("dropped")
    [record] = lines(tmp_path / "deep" / "events.jsonl")
    assert record["event"] == "step"
    assert record["scalars"] == {"loss": None, "lr": 0.5}
    assert record["text"] == "ä\nb"
    assert isinstance(record["time"], float)


def test_what_was_left_of_a_line_does_not_spoil_the_next_one(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    first, second = EventWriter(path), EventWriter(path)
    first.emit("step", step=1)
    with path.open("a") as stream:
        stream.write('{"event": "st')  # the disk was full, or the run killed
    second.emit("error", code="disk-full")
    second.emit("done")
    read = [line for line in path.read_text().splitlines() if not line.endswith('"st')]
    assert [json.loads(line)["event"] for line in read] == ["step", "error", "done"]


def test_only_the_first_rank_writes_events(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = RunSpec(
        plugin="a", package="a", action="train", entry="a:b", mimctl_version="0", events_path=str(tmp_path / "e.jsonl")
    )
    assert open_events(spec).is_on
    monkeypatch.setenv("RANK", "1")
    assert not open_events(spec).is_on


def test_plain_data_holds_no_tensor() -> None:
    assert plain({1: (torch.ones(2), torch.tensor(3))}) == {"1": [[1.0, 1.0], 3]}


def test_log_lines_become_events_and_lines_of_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    writer = EventWriter(tmp_path / "events.jsonl")
    configure_logging(events=writer)
    with logging_to(tmp_path / "run.log"):
        get_logger().info("hello %d", 3)
        get_logger().debug("a detail")
    writer.close()
    [record] = lines(tmp_path / "events.jsonl")
    assert (record["event"], record["level"], record["message"]) == ("log", "info", "hello 3")
    assert (tmp_path / "run.log").read_text().endswith("INFO - hello 3\n")
    configure_logging()
    get_logger().info("plain")
    assert capsys.readouterr().err.endswith("INFO - plain\n")
    assert "plain" not in (tmp_path / "run.log").read_text()


def test_other_ranks_keep_quiet_but_for_warnings(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RANK", "1")
    configure_logging()
    get_logger().info("first")
    get_logger().warning("second")
    monkeypatch.delenv("RANK")
    configure_logging()
    get_logger().info("third")
    assert [line.rpartition(" - ")[2] for line in capsys.readouterr().err.splitlines()] == ["second", "third"]


def test_visualizer_hands_everything_to_its_back_ends(tmp_path: Path) -> None:
    visualizer = Visualizer(vis_backends=[{"type": "LocalVisBackend"}], save_dir=str(tmp_path))
    visualizer.add_scalar("loss", torch.tensor(0.5), step=3)
    visualizer.add_scalars({"a": 1.0, "b": float("inf")}, step=4)
    visualizer.add_image("picture", torch.zeros(4, 4, 3, dtype=torch.uint8).numpy(), step=5)
    visualizer.close()
    assert lines(tmp_path / "vis_data" / "scalars.json") == [{"loss": 0.5, "step": 3}, {"a": 1.0, "b": None, "step": 4}]
    assert (tmp_path / "vis_data" / "vis_image" / "picture_5.png").is_file()

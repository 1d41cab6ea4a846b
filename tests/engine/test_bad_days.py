"""Bad days of a real training: each ends with one clear error, and nothing that was trained is lost."""

# ruff: noqa: F811 — the fixture is imported by its name

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from test_child import CONFIG, HERE, finish, make_spec, start, the_error  # noqa: F401

from mimctl.engine.checkpoints.checkpoint import find_latest, read_checkpoint
from mimctl.spec import RunSpec

MakeSpec = Callable[..., RunSpec]


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(8):
        cv2.imwrite(str(folder / f"{number}.png"), np.full((2, 2, 3), 20 * number, np.uint8))
    return folder


def with_files(spec: RunSpec, folder: Path, *, epochs: int = 8, workers: int = 1, **options: Any) -> RunSpec:
    """Write a config that trains on the pictures of a folder, and return the spec."""
    data = f"dict(type='FileData', folder={str(folder)!r}, **{options!r})"
    text = CONFIG.replace('dict(type="ToyData", size=16)', data).replace("max_epochs=2", f"max_epochs={epochs}")
    text = text.replace("shuffle=True), batch_size=4", f"shuffle=True), batch_size=4, num_workers={workers}")
    Path(spec.config or "").write_text(text + "\ndefault_hooks.update(checkpoint=dict(interval=5))\n")
    return spec


def trained(spec: RunSpec, folder: Path) -> int:
    code, err = finish(start(spec, folder))
    assert err == ""
    return code


def work_dir(spec: RunSpec) -> Path:
    return Path(spec.work_dir or "")


@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_image_that_breaks_at_epoch_7_costs_nothing(
    make_spec: MakeSpec,
    pictures: Path,
    tmp_path: Path,
    workers: int,
) -> None:
    spec = with_files(make_spec(), pictures, workers=workers, breaks_at=7)
    good = (pictures / "3.png").read_bytes()
    assert trained(spec, tmp_path) == 1
    error = the_error(spec)
    assert error["code"] == "unreadable-image"
    assert str(pictures / "3.png") in error["message"]
    assert any("--resume" in hint and "interrupted.pth" in hint for hint in error["hints"])
    latest = find_latest(work_dir(spec))
    assert latest is not None
    done = read_checkpoint(latest)["meta"]
    assert done["epoch"] == 6
    assert 12 <= done["iter"] < 14

    (pictures / "3.png").write_bytes(good)
    again = with_files(make_spec(resume="auto"), pictures, workers=workers)
    assert trained(again, tmp_path) == 0
    whole = with_files(make_spec(work_dir=str(tmp_path / "whole")), pictures, workers=workers)
    assert trained(whole, tmp_path) == 0
    assert_same(work_dir(again) / "epoch_8.pth", work_dir(whole) / "epoch_8.pth")


def assert_same(one: Path, other: Path) -> None:
    first, second = (read_checkpoint(path) for path in (one, other))
    for key, value in first["state_dict"].items():
        assert torch.equal(value, second["state_dict"][key]), key


def test_worker_that_the_system_kills_is_one_error(make_spec: MakeSpec, pictures: Path, tmp_path: Path) -> None:
    spec = with_files(make_spec(), pictures, kills_at=2)
    assert trained(spec, tmp_path) == 1
    error = the_error(spec)
    assert error["code"] == "worker-died"
    assert error["causes"][0].startswith("DataLoader worker (pid")
    assert read_checkpoint(work_dir(spec) / "interrupted.pth")["meta"]["epoch"] == 1


def test_mistake_in_a_worker_is_shown_as_itself(make_spec: MakeSpec, pictures: Path, tmp_path: Path) -> None:
    spec = with_files(make_spec(), pictures, fails_at=2)
    assert trained(spec, tmp_path) == 1
    error = the_error(spec)
    assert (error["code"], error["message"]) == ("child-crashed", "KeyError: 'no such label'")
    [place] = error["causes"]
    assert place.startswith(f"in {HERE / 'toy_experiment.py'}:")
    assert "in a process that loads data" in place
    assert "loading sample" in error["details"]["traceback"]


# A disk that is full


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "small disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(folder)], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip("mounting a small file system needs root")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.parametrize(
    "events_too", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["scalars", "scalars and events"]
)
def test_disk_that_fills_up_while_a_run_logs_is_one_error(
    make_spec: MakeSpec,
    small_disk: Path,
    tmp_path: Path,
    events_too: bool,
) -> None:
    folder = small_disk / "run"
    options: dict[str, Any] = {"work_dir": str(folder)}
    options["events_path"] = str((small_disk if events_too else tmp_path) / "events.jsonl")
    fill = {"type": "Trouble", "kind": "fill", "at": 5, "folder": str(small_disk)}
    spec = make_spec(overrides={"custom_hooks": [fill], "default_hooks.logger.interval": 1}, **options)
    code, err = finish(start(spec, tmp_path))
    assert code == 1
    assert "Traceback" not in err
    lines = Path(spec.events_path or "").read_text().splitlines()
    told = [json.loads(line) for line in lines]
    codes = [event["code"] for event in told if event["event"] == "error"]
    # Where not even the error fits on the disk it goes to standard error.
    assert codes + ["disk-full"] * err.count("error[disk-full]: no space left") == ["disk-full"]
    assert find_latest(folder) == folder / "epoch_1.pth"
    assert not list(folder.rglob("*.tmp"))


def test_work_dir_that_may_not_be_written_is_refused_before_the_model_is_built(
    make_spec: MakeSpec,
    tmp_path: Path,
) -> None:
    folder = tmp_path / "work dir"
    folder.mkdir(mode=0o555)
    spec = make_spec(events_path=None, result_path=None, overrides={"model.type": "NoSuchModel"})
    prefix = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
    code, err = finish(start(spec, tmp_path, prefix=prefix))
    assert code in (1, 2)
    assert err.count("error[") == 1
    assert [path.name for path in folder.iterdir()] == []


@pytest.mark.slow
def test_two_processes_fail_without_waiting_for_each_other(make_spec: MakeSpec, tmp_path: Path) -> None:
    """A rank that fails alone saves nothing: the other would have to take part."""
    from mimctl.spec import LauncherFacts

    trouble = [{"type": "Trouble", "kind": "error", "at": 3, "rank": 1}]
    spec = make_spec(launcher=LauncherFacts(kind="pytorch", num_procs=2), overrides={"custom_hooks": trouble})
    assert finish(start(spec, tmp_path, module="agent")) == (1, "")
    assert the_error(spec)["code"] == "child-crashed"
    assert {path.name for path in work_dir(spec).glob("*.pth")} == {"epoch_1.pth"}

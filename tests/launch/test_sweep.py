"""Sweeps on this machine: every point checked first, side by side, gone on with, a failed one in nobody's way."""

from __future__ import annotations

import csv
import json
import signal
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from login_node import TOY, VALIDATION, Login
from patience import wait_until

from mimctl.errors import MimctlError, UsageError
from mimctl.launch.sweep.axes import points, read_grid, read_search_args
from mimctl.launch.sweep.model import read_sweep

LR = "optim_wrapper.optimizer.lr"


def test_values_of_a_grid_are_read_as_overrides_are() -> None:
    texts = [f"{LR}=0.01,1e-3", "a.0.b=[1,2],[3,4]", "kind='x y',None,True,dict(type='z')"]
    assert read_grid(texts) == {
        LR: [0.01, 0.001],
        "a.0.b": [[1, 2], [3, 4]],
        "kind": ["x y", None, True, {"type": "z"}],
    }


def test_mims_words_mean_the_same() -> None:
    assert read_search_args(f"--{LR} 1e-3 1e-4 --model.stages.0.depth=18 50") == {
        LR: [1e-3, 1e-4],
        "model.stages.0.depth": [18, 50],
    }


@pytest.mark.parametrize("text", ["", "lr", "lr=", "=1", " = "])
def test_an_axis_without_path_or_values_is_refused(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_grid([text])
    assert caught.value.code == "bad-grid"


@pytest.mark.parametrize("text", ["lr 1", "--lr", "--lr --momentum 1", "'--lr 1"])
def test_search_args_that_say_nothing_are_refused(text: str) -> None:
    with pytest.raises(UsageError):
        read_search_args(text)


def test_a_path_stands_once_and_a_grid_has_an_end() -> None:
    with pytest.raises(UsageError, match="twice"):
        read_grid(["a=1", "a=2"])
    with pytest.raises(UsageError, match="1,000,000 points"):
        points({name: list(range(100)) for name in "abc"})
    with pytest.raises(UsageError, match="needs an axis"):
        points({})


@given(
    st.dictionaries(st.sampled_from(["a", "b.c", "d.0"]), st.lists(st.integers(), min_size=1, max_size=4), min_size=1)
)
def test_the_points_are_the_product_the_last_axis_fastest(axes: dict[str, list[int]]) -> None:
    found = points(axes)
    number = 1
    for values in axes.values():
        number *= len(values)
    assert len(found) == number
    assert all(list(each) == list(axes) for each in found)
    last = list(axes)[-1]
    assert [each[last] for each in found[: len(axes[last])]] == axes[last]


@pytest.fixture
def desk(tmp_path: Path) -> Login:
    login = Login.at(tmp_path)
    (tmp_path / "toy.py").write_text(TOY + VALIDATION)
    return login


TROUBLE = "custom_hooks=[],[dict(type='Trouble',kind='error',at=3)]"


def test_a_failed_trial_stops_no_other_and_the_same_line_goes_on(desk: Login, tmp_path: Path) -> None:
    line = ("sweep", "det", "toy.py", "--gpus", 0, "--grid", f"{LR}=0.05", "--grid", TROUBLE, "--max-jobs", 2)
    first = desk.mimctl(*line, "--json")
    assert first.returncode == 1, first.stderr
    trials = json.loads(first.stdout)["trials"]
    assert [each["state"] for each in trials] == ["done", "failed"]
    assert trials[0]["metrics"]["toy/count"] == 12
    assert trials[1]["error"]["message"] == "ValueError: a bug in a hook"
    ended = Path(trials[0]["run_dir"], "result.json").stat().st_mtime_ns
    again = desk.mimctl(*line)
    assert "trial 1 of 2" in again.stderr
    assert "trial 0 of 2" not in again.stderr, "what is done is not done again"
    assert Path(trials[0]["run_dir"], "result.json").stat().st_mtime_ns == ended
    report = desk.mimctl("sweep", "report", "sweeps/toy", "--sort", "-toy/accuracy", "--csv", "table.csv")
    assert report.returncode == 0, report.stderr
    table = list(csv.reader((tmp_path / "table.csv").read_text().splitlines()))
    assert table[0] == ["trial", "state", LR, "custom_hooks", "toy/accuracy", "toy/count"]
    assert [row[1] for row in table[1:]] == ["done", "failed"]
    other = desk.mimctl("sweep", "det", "toy.py", "--gpus", 0, "--grid", f"{LR}=0.5")
    assert (other.returncode, "error[other-sweep]" in other.stderr) == (2, True)


def test_a_mistake_in_any_point_is_told_before_anything_starts(desk: Login, tmp_path: Path) -> None:
    done = desk.mimctl("gridsearch", "det", "toy.py", "--gpus", 0, "--search-args", f"--{LR} 0.1 much")
    assert done.returncode == 2
    assert "takes a number" in done.stderr
    assert not (tmp_path / "sweeps").exists()
    with pytest.raises(MimctlError) as caught:
        read_sweep(tmp_path / "sweeps/toy")
    assert caught.value.code == "no-sweep"


def test_ctrl_c_ends_what_runs_and_begins_nothing_more(desk: Login, tmp_path: Path) -> None:
    epochs = "train_cfg.max_epochs=100000"
    argv = desk.argv("sweep", "det", "toy.py", "--gpus", 0, "--grid", f"{LR}=0.05,0.04,0.03", "--cfg-options", epochs)
    process = subprocess.Popen(argv, cwd=tmp_path, env=desk.environment, stderr=subprocess.PIPE, text=True)
    wait_until(lambda: (tmp_path / "sweeps/toy/trials/0000/last_checkpoint").exists())
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=240)
    assert process.returncode == 130
    found = json.loads(desk.mimctl("sweep", "report", "sweeps/toy", "--json").stdout)["trials"]
    assert [each["state"] for each in found] == ["cancelled", "waiting", "waiting"]

"""What samplers draw: within the ranges, the same after a crash, and whom successive halving gives up."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from login_node import Login

import mimctl
from mimctl.errors import MimctlError, UsageError
from mimctl.launch.processes.events import EventReader
from mimctl.launch.sweep.axes import Range, covering, points, read_grid, read_search_args
from mimctl.launch.sweep.goal import Goal, Validations, goal_of
from mimctl.launch.sweep.model import Sampler, Sweep

LR = "optim_wrapper.optimizer.lr"
AXES = {LR: Range(low=1e-5, high=1e-1, is_log=True), "n": Range(low=2, high=5), "kind": [["a"], {"b": 1}, None]}


@pytest.fixture
def study() -> Any:
    pytest.importorskip("optuna", reason="samplers are an extra")
    from mimctl.launch.sweep.study import Study

    return Study


@pytest.mark.parametrize(
    ("text", "axis"),
    [
        ("1e-5..1e-1:log", Range(low=1e-5, high=1e-1, is_log=True)),
        ("2..8", Range(low=2, high=8)),
        ("-1..+1.5", Range(low=-1, high=1.5)),
        (".5..1.", Range(low=0.5, high=1.0)),
        ("'2..8'", ["2..8"]),
        ("2..x", ["2..x"]),
        ("1..2,3..4", ["1..2", "3..4"]),
    ],
)
def test_a_range_is_two_numbers_and_how_they_are_spread(text: str, axis: object) -> None:
    assert read_grid([f"a.b={text}"]) == {"a.b": axis}


@given(st.integers(-(10**9), 10**9) | st.floats(-1e300, 1e300), st.integers(1, 10**6) | st.floats(0.001, 1e6))
def test_a_range_is_read_as_it_is_written(low: float, more: float) -> None:
    axis = Range(low=low, high=low + more + abs(low))
    found = read_grid([f"a={axis}"])["a"]
    assert found == axis
    assert isinstance(found, Range)
    assert found.is_whole == axis.is_whole


@pytest.mark.parametrize("text", ["8..2", "1..1", "0..1:log", "-1..1:log", "1..2:lin", "1..2:", "1..1e999"])
def test_a_range_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_grid([f"a={text}"])
    assert caught.value.code == "bad-grid"


def test_ranges_are_drawn_from_and_not_walked() -> None:
    assert read_search_args("--a 1..3 --b 1 2") == {"a": Range(low=1, high=3), "b": [1, 2]}
    with pytest.raises(UsageError, match="is a range"):
        points({"a": Range(low=1, high=3)})
    ends = covering({"a": Range(low=1, high=3), "b": ["x", "y", "z"]})
    assert ends == [{"a": 1, "b": "x"}, {"a": 3, "b": "y"}, {"a": 1, "b": "z"}]


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**40), st.sampled_from(["random", "tpe", "asha"]))
def test_what_is_drawn_lies_in_its_range_and_follows_from_the_seed(seed: int, sampler: Sampler) -> None:
    pytest.importorskip("optuna", reason="samplers are an extra")
    from mimctl.launch.sweep.study import Study

    first, second = (Study(None, AXES, sampler=sampler, seed=seed) for _ in range(2))
    for number in range(4):
        drawn, point = first.draw()
        assert drawn == number
        assert second.draw() == (number, point)
        assert 1e-5 <= point[LR] <= 1e-1
        assert point["n"] in (2, 3, 4, 5)
        assert isinstance(point["n"], int)
        assert point["kind"] in AXES["kind"]


@pytest.mark.parametrize("sampler", ["random", "tpe", "asha"])
def test_a_study_goes_on_as_if_it_had_not_been_interrupted(study: Any, tmp_path: Path, sampler: Sampler) -> None:
    whole = study(None, AXES, sampler=sampler, seed=3)
    expected = []
    for number in range(14):
        expected.append(whole.draw()[1])
        whole.tell(number, float(number % 5))
    found = []
    for number in range(14):
        again = study(tmp_path, AXES, sampler=sampler, seed=3)  # a process of its own for each trial
        assert len(again) == number
        found.append(again.draw()[1])
        again.tell(number, float(number % 5))
    assert found == expected


def test_what_a_killed_process_left_in_the_journal_is_mended(study: Any, tmp_path: Path) -> None:
    first = study(tmp_path, AXES, sampler="random", seed=3)
    points = [first.draw()[1] for _ in range(3)]
    journal = tmp_path / "study.journal"
    whole = journal.read_bytes()
    (tmp_path / "study.journal.lock").symlink_to(journal)  # the process died while it held it
    for cut in range(1, 400, 13):
        journal.write_bytes(whole[:-cut])
        again = study(tmp_path, AXES, sampler="random", seed=3)
        known = [again.point(number) for number in range(len(again))]
        known += [again.draw()[1] for _ in range(3 - len(again))]
        assert known == points, cut


def test_a_journal_that_is_none_is_told(study: Any, tmp_path: Path) -> None:
    (tmp_path / "study.journal").write_text('{"op_code": 0}\nnonsense\n{}\n')
    with pytest.raises(MimctlError) as caught:
        study(tmp_path, AXES, sampler="random")
    assert caught.value.code == "no-sweep"


def test_halving_gives_up_who_is_not_among_the_best_third_of_a_rung(study: Any) -> None:
    asha = study(None, AXES, sampler="asha")
    for number in range(6):
        asha.draw()
        assert asha.is_open(number)
    firsts = [asha.judge(number, 1, cost) for number, cost in enumerate([5.0, 6.0, 3.0, 4.0, 2.0, 2.5])]
    assert firsts == [False, True, False, True, False, False], "each is compared with those that came so far"
    assert not asha.judge(0, 2, 9.0), "the next rung is after three validations"
    assert not asha.judge(0, 3, 9.0), "the first one there"
    assert not asha.judge(2, 3, 1.0)
    assert asha.judge(4, 3, 1.5)
    assert asha.judge(5, 2, None) is False
    assert asha.judge(5, 3, None), "what is no number is no good"
    asha.tell_pruned(1)
    assert not asha.is_open(1)


def test_a_metric_tells_by_its_name_which_end_is_the_better_one() -> None:
    def sweep(metric: str | None = None, **more: Any) -> Sweep:
        return Sweep(plugin="det", config="c.py", axes={"a": [1]}, metric=metric, **more)

    told = {"coco/bbox_mAP": 0.4, "val/loss": 1.5, "speed": 3}
    assert goal_of(sweep(), told) == Goal(metric="coco/bbox_mAP", direction="max")
    assert goal_of(sweep("val/loss"), told) == Goal(metric="val/loss", direction="min")
    assert goal_of(sweep("speed", direction="max"), told).cost(told) == -3.0
    with pytest.raises(UsageError, match="greater or a smaller `speed`"):
        goal_of(sweep("speed"), told)
    with pytest.raises(UsageError) as caught:
        goal_of(sweep("coco/bbox_map"), told)
    assert "did you mean `coco/bbox_mAP`?" in caught.value.hints
    goal = goal_of(sweep("val/loss"), told)
    assert [goal.cost({"val/loss": value}) for value in (math.nan, None, True, "x", 2)] == [None] * 4 + [2.0]
    assert goal.cost({}) is None


def test_a_validation_that_is_done_anew_counts_once(tmp_path: Path) -> None:
    lines = [
        {"event": "step", "phase": "val", "iter": 4},
        {"event": "metrics", "phase": "val", "iter": 4, "metrics": {"a": 1}},
        {"event": "metrics", "phase": "test", "iter": 4, "metrics": {"a": 9}},
        {"event": "metrics", "phase": "val", "iter": 8, "metrics": {"a": 2}},
    ]
    path = tmp_path / "events.jsonl"
    path.write_text("".join(json.dumps(each) + "\n" for each in lines))
    seen = Validations(tmp_path)
    assert [(n, event["metrics"]["a"]) for n, event in seen.new()] == [(1, 1), (2, 2)]
    with path.open("a") as stream:  # the run was killed, and goes on from its first checkpoint
        stream.writelines(json.dumps(each) + "\n" for each in [lines[3], {**lines[3], "iter": 12}])
    assert [n for n, _ in seen.new()] == [3]
    assert len(list(EventReader(path).read())) == 6


def test_without_optuna_its_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    from mimctl.launch.sweep.study import Study

    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(MimctlError) as caught:
        Study(None, AXES, sampler="random")
    assert caught.value.code == "missing-extra"
    assert "mimctl[sweep]" in caught.value.hints[0]


def test_a_sweep_is_a_function_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("optuna", reason="samplers are an extra")
    Login.at(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MIMCTL_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MIMCTL_PYTHON", sys.executable)
    options = mimctl.SweepOptions(sampler="random", trials=3, dry_run=True)
    launch = mimctl.LaunchOptions(gpus=0, name="mine")
    found = mimctl.sweep("det", "toy.py", mimctl.read_axes([f"{LR}=1e-3..1e-1"]), options, launch)
    rates = [plan.spec.overrides[LR] for plan in found.plans]
    assert len(set(rates)) == 3
    assert all(1e-3 <= rate <= 1e-1 for rate in rates)
    assert not found.folder.exists()

"""The report of a sweep: its table, the best trial, its picture."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mimctl.errors import MimctlError, UsageError
from mimctl.launch.runs.record import RunRecord
from mimctl.launch.runs.state import Phase, RunState
from mimctl.launch.sweep.axes import Range
from mimctl.launch.sweep.goal import best_of
from mimctl.launch.sweep.model import Sweep, Trial, read_sweep
from mimctl.launch.sweep.picture import draw
from mimctl.launch.sweep.report import measure_of, ordered, rows, to_csv

GRID = Sweep(plugin="det", config="c.py", axes={"lr": [0.1, 0.2], "kind": ["a", "b"]})
DRAWN = Sweep(
    plugin="det",
    config="c.py",
    axes={"lr": Range(low=1e-4, high=1.0, is_log=True), "n": Range(low=1, high=9), "kind": ["a", None], "m": [1, 2]},
    sampler="asha",
    metric="mAP",
    direction="max",
    cfg_options=("a=1",),
)


def trial(number: int, point: Mapping[str, Any], phase: Phase = "done", *, pruned: bool = False, **told: Any) -> Trial:
    record = RunRecord(
        run_id="r",
        name="r",
        plugin="det",
        action="train",
        config=None,
        work_dir=None,
        run_dir="/nowhere",
        launcher="none",
        started=0.0,
        host="here",
        argv=(),
    )
    state = RunState(record=record, phase=phase, metrics=told)
    return Trial(number=number, point=point, state=state, pruned={"validations": 1} if pruned else None)


def drawn() -> list[Trial]:
    points = [{"lr": 10.0**-n, "n": n + 1, "kind": None if n % 2 else "a", "m": 1} for n in range(5)]
    ends: list[dict[str, Any]] = [
        {"mAP": 0.1},
        {"mAP": 0.4},
        {"mAP": 0.3, "pruned": True, "phase": "cancelled"},
        {},
        {"mAP": None},
    ]
    return [trial(number, point, **end) for number, (point, end) in enumerate(zip(points, ends, strict=True))]


@given(
    st.dictionaries(
        st.sampled_from(["a", "b.0.c"]),
        st.lists(st.none() | st.integers() | st.text(), min_size=1)
        | st.builds(Range, low=st.integers(0, 5), high=st.integers(6, 9), is_log=st.booleans()),
    ),
    st.sampled_from(["grid", "random", "tpe", "asha"]),
    st.none() | st.text(),
)
def test_a_sweep_is_read_as_it_was_written(tmp_path_factory: Any, axes: Any, sampler: Any, metric: Any) -> None:
    folder = tmp_path_factory.mktemp("sweep")
    sweep = Sweep(plugin="det", config="c.py", axes=axes, cfg_options=("a=1",), sampler=sampler, metric=metric)
    sweep.write(folder)
    assert read_sweep(folder) == sweep


def test_the_best_trial_is_one_that_is_done() -> None:
    goal, best = best_of(DRAWN, drawn())
    assert goal is not None
    assert (goal.metric, best and best.number) == ("mAP", 1)
    assert best_of(GRID, [trial(0, {"lr": 0.1}, speed=3.0)]) == (None, None), (
        "its name does not tell which end is better"
    )
    assert best_of(GRID, [])[1] is None


def test_trials_without_a_value_come_last_and_pruned_ones_are_called_so() -> None:
    trials = ordered(DRAWN, drawn(), "-mAP")
    assert [each.number for each in trials] == [1, 2, 0, 3, 4]
    assert [row[1] for row in rows(DRAWN, drawn())] == ["done", "done", "pruned", "done", "done"]
    assert to_csv(DRAWN, drawn()).splitlines()[3] == "2,pruned,0.01,3,a,1,0.3"


def test_what_is_drawn_is_named_or_told() -> None:
    assert measure_of(DRAWN, drawn()) == "mAP"
    assert measure_of(GRID, [trial(0, {}, first=1, second=2)]) == "first"
    with pytest.raises(UsageError) as caught:
        measure_of(DRAWN, drawn(), "map")
    assert caught.value.hints == ("did you mean `mAP`?",)
    with pytest.raises(UsageError, match="no trial has told a metric"):
        measure_of(GRID, [])


def test_a_picture_has_what_was_tried_in_it(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="pictures are an extra")
    image = pytest.importorskip("PIL.Image")
    points = [{"lr": lr, "kind": kind} for lr in (0.1, 0.2) for kind in ("a", "b")]
    grid = [trial(number, point, mAP=0.1 * number) for number, point in enumerate(points)]
    sizes = {}
    for name, sweep, trials in (("grid", GRID, grid), ("empty", GRID, []), ("drawn", DRAWN, drawn())):
        draw(sweep, trials, "mAP", tmp_path / name)
        with image.open(tmp_path / name) as picture:
            assert picture.format == "PNG"
            colours = picture.convert("RGB").getcolors(1 << 24)
            sizes[name] = picture.size, sum(number for number, colour in colours if len(set(colour)) > 1)
    assert sizes["grid"][0] == (840, 540)
    assert sizes["drawn"][0] == (round(4.2 * 3 * 120), round(3.6 * 2 * 120)), "four axes: three panels and one below"
    assert sizes["empty"][1] == 0, "lines and points are what has a colour"
    assert sizes["grid"][1] > 500
    assert sizes["drawn"][1] > 500


def test_without_matplotlib_its_extra_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.backends.backend_agg", None)
    with pytest.raises(MimctlError) as caught:
        draw(GRID, [], "mAP", tmp_path / "a.png")
    assert caught.value.code == "missing-extra"
    assert not (tmp_path / "a.png").exists()

"""Sweeps whose points are drawn, on this machine: judged, stopped early, killed and gone on with."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from login_node import TOY, VALIDATION, Login
from patience import wait_until
from sweeping import LR, RANGE, a_good_one_then_a_bad_one, choice, seed_where, states, told

from mimctl import settings
from mimctl.cli.commands.sweep import COMMANDS
from mimctl.errors import MimctlError, render
from mimctl.launch.job import job_of
from mimctl.launch.model import ConfigOptions, LaunchOptions
from mimctl.launch.sweep.axes import read_grid
from mimctl.launch.sweep.bench import Bench
from mimctl.launch.sweep.drawn import Drawn
from mimctl.launch.sweep.here import Here
from mimctl.launch.sweep.holding import watched
from mimctl.launch.sweep.jobs import Jobs
from mimctl.launch.sweep.model import Sweep, SweepOptions, points_of, trials_of
from mimctl.launch.sweep.study import Study
from mimctl.launch.workplace import find_workplace

pytest.importorskip("optuna", reason="samplers are an extra")


@pytest.fixture
def desk(tmp_path: Path) -> Login:
    login = Login.at(tmp_path)
    (tmp_path / "toy.py").write_text(TOY + VALIDATION)
    return login


def line_of(*words: object) -> tuple[object, ...]:
    return ("sweep", "det", "toy.py", "--gpus", 0, "--grid", RANGE, *words)


def test_a_failed_trial_stays_one_of_many_and_more_trials_draw_more(desk: Login, tmp_path: Path) -> None:
    trouble = choice("error", at=3)
    seed = seed_where(lambda drawn: [each["trouble"] for each in drawn] == [True, False, False], trouble, trials=3)
    line = line_of("--grid", trouble, "--sampler", "tpe", "--seed", seed, "--max-jobs", 2)
    wrong = desk.mimctl(*line, "--trials", 2, "--metric", "toy/acuracy")
    assert wrong.returncode == 2
    assert "did you mean `toy/accuracy`" in wrong.stderr
    assert states(desk)[1] == "done"
    ended = (tmp_path / "sweeps/toy/trials/0001/run/result.json").stat().st_mtime_ns
    done = desk.mimctl(*line, "--trials", 3, "--json")
    assert done.returncode == 1, "a trial failed"
    found = json.loads(done.stdout)
    assert [each["state"] for each in found["trials"]] == ["failed", "done", "done"]
    assert found["trials"][0]["error"]["message"] == "ValueError: a bug in a hook"
    assert (found["metric"], found["direction"]) == ("toy/accuracy", "max")
    assert found["best"] in (1, 2)
    assert [f"trial {number} of 3" in done.stderr for number in range(3)] == [True, False, True], done.stderr
    assert (tmp_path / "sweeps/toy/trials/0001/run/result.json").stat().st_mtime_ns == ended
    report = desk.mimctl("sweep", "report", "sweeps/toy", "--sort", LR, "--csv", "table.csv")
    assert report.returncode == 0, report.stderr
    table = list(csv.reader((tmp_path / "table.csv").read_text().splitlines()))
    assert table[0] == ["trial", "state", LR, "custom_hooks", "toy/accuracy", "toy/count"]
    rates = [float(row[2]) for row in table[1:]]
    assert rates == sorted(rates)
    assert all(1e-5 <= rate <= 1e-1 for rate in rates)
    other = desk.mimctl(*line_of("--sampler", "asha", "--trials", 3))
    assert (other.returncode, "error[other-sweep]" in other.stderr) == (2, True)


def test_who_does_worse_than_the_others_is_stopped_and_shown_as_pruned(desk: Login, tmp_path: Path) -> None:
    waits = choice("wait")  # without end, in its second epoch
    seed = seed_where(a_good_one_then_a_bad_one, waits, trials=2)
    line = line_of("--grid", waits, "--sampler", "asha", "--trials", 2, "--seed", seed)
    done = desk.mimctl(*line, "--metric", "toy/accuracy", "--direction", "max")
    assert done.returncode == 0, done.stderr
    assert states(desk) == ["done", "pruned"]
    assert json.loads((tmp_path / "sweeps/toy/trials/0001/pruned").read_text()) == {"validations": 1}
    assert told(desk)["best"] == 0
    again = desk.mimctl(*line, "--metric", "toy/accuracy", "--direction", "max")
    assert again.returncode == 0
    assert "of 2: " not in again.stderr, "what was given up is not tried again"
    other = desk.mimctl(*line, "--metric", "toy/count")
    assert "error[other-sweep]" in other.stderr, "its trials were judged by another metric"


def test_a_sweep_that_was_killed_goes_on_with_what_it_would_have_drawn(desk: Login, tmp_path: Path) -> None:
    slow = choice("slow")
    seed = seed_where(lambda drawn: [each["trouble"] for each in drawn] == [False, True, False], slow, trials=3)
    small = ("--cfg-options", "train_dataloader.dataset.size=16")
    line = line_of("--grid", slow, "--sampler", "random", "--trials", 3, "--seed", seed, *small)
    planned = json.loads(desk.mimctl(*line, "--dry-run", "--json").stdout)["trials"]
    assert not (tmp_path / "sweeps").exists()
    process = subprocess.Popen(desk.argv(*line), cwd=tmp_path, env=desk.environment, stderr=subprocess.DEVNULL)
    trials = tmp_path / "sweeps/toy/trials"
    wait_until(lambda: (trials / "0001/last_checkpoint").exists())
    process.kill()
    process.wait()
    ended = (trials / "0000/run/result.json").stat().st_mtime_ns
    done = desk.mimctl(*line)
    assert done.returncode == 0, done.stderr
    assert states(desk) == ["done", "done", "done"]
    assert (trials / "0000/run/result.json").stat().st_mtime_ns == ended
    points = [json.loads((trials / f"{number:04d}/point.json").read_text()) for number in range(3)]
    assert [point[LR] for point in points] == [each[LR] for each in planned]


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), pytest.param(signal.SIGHUP, 129, marks=pytest.mark.slow)]
)
def test_one_trial_is_cancelled_alone_and_a_sweep_that_is_stopped_takes_its_trials_along(
    desk: Login, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    line = line_of("--sampler", "random", "--trials", 3, "--cfg-options", "train_cfg.max_epochs=100000")
    process = subprocess.Popen(
        desk.argv(*line), cwd=tmp_path, env=desk.environment, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    trials = tmp_path / "sweeps/toy/trials"
    wait_until(lambda: (trials / "0000/last_checkpoint").exists())
    assert desk.mimctl("cancel", trials / "0000/run").returncode == 0
    wait_until(lambda: (trials / "0001/last_checkpoint").exists())
    second = desk.mimctl(*line)
    assert (second.returncode, "error[sweep-busy]" in second.stderr) == (1, True)
    child = json.loads((trials / "0001/run/run.json").read_text())["pid"]
    process.send_signal(number)
    process.communicate(timeout=240)
    assert process.returncode == code
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)
    assert states(desk) == ["cancelled", "cancelled"]


def test_nohup_keeps_a_sweep_from_ending_with_its_terminal() -> None:
    held = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with watched(are_jobs=False):
            os.kill(os.getpid(), signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, held)


def test_a_point_that_cannot_be_trained_is_a_failed_trial(
    desk: Login, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MIMCTL_HOME", str(tmp_path / "home"))
    # As if the file had been edited while the sweep went on: the mistake is in it when its trials are prepared.
    (tmp_path / "toy.py").write_text(TOY.replace("max_epochs=2", "max_epochs='two'"))
    launch, options = LaunchOptions(gpus=0), SweepOptions(sampler="random", trials=2)
    place = find_workplace(settings.load({"python": sys.executable}))
    bench = Bench(
        folder=tmp_path / "sweep",
        plugin="det",
        config=ConfigOptions(config="toy.py"),
        launch=launch,
        options=options,
        place=place,
        fetch=lambda addresses: {},
        job=job_of(launch, place, job_name="toy"),
    )
    sweep = Sweep(plugin="det", config="toy.py", axes=read_grid([RANGE]), sampler="random")
    heard: list[str] = []
    study = Study(None, sweep.axes, sampler="random")
    Drawn(sweep, study, bench, Here(), tell=heard.append).run(1, Jobs(heard.append))
    trials = trials_of(bench.folder, points_of(bench.folder, sweep))
    assert [each.phase for each in trials] == ["failed", "failed"]
    assert all("max_epochs" in str(each.state and each.state.error) for each in trials)
    assert [line.partition(":")[0] for line in heard] == ["trial 0 of 2", "trial 1 of 2"]
    with pytest.raises(MimctlError, match="knows 0 of its 2 trials"):
        Drawn(sweep, Study(None, sweep.axes, sampler="random"), bench, Here(), tell=heard.append).run(1, Jobs(print))


RANDOM = ("--sampler", "random", "--trials", "3")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--sampler", "tpe"), "say how many trials"),
        (("--trials", "3"), "is for what is drawn"),
        (("--sampler", "grid"), "is a range"),
        ((*RANDOM, "--detach"), "goes on without its sweep"),
        ((*RANDOM, "--launcher", "slurm", "--foreground"), "watches one run"),
        ((*RANDOM, "--rdzv-endpoint", "here:1"), "runs on one machine"),
        ((*RANDOM, "--grid", "optim_wrapper.optimizer.momentum=0.9,much"), "takes a number"),
        (
            ("--sampler", "tpe", "--trials", "3", "--cfg-options", "val_evaluator=None", "val_dataloader=None",
             "val_cfg=None"),
            "judges trials by",
        ),
    ],
    ids=lambda value: value.split()[0] if isinstance(value, str) else None,
)  # fmt: skip
def test_what_cannot_be_is_refused_before_anything_starts(
    desk: Login, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MIMCTL_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MIMCTL_PYTHON", sys.executable)
    with pytest.raises(MimctlError) as caught:
        COMMANDS["sweep"].main([*map(str, line_of(*words))][1:], standalone_mode=False)
    assert caught.value.exit_code == 2
    assert says in render(caught.value)
    assert not (tmp_path / "sweeps").exists()

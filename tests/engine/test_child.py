"""The child process: a spec in, events and a result out, every failure one error."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from patience import wait_until

from mimctl import __version__
from mimctl.engine import child
from mimctl.spec import LauncherFacts, RunSpec

HERE = Path(__file__).parent
ROOT = HERE.parents[1]

CONFIG = """
custom_imports = dict(imports=["toy_experiment"])
model = dict(type="ToyModel")
train_dataloader = dict(
    dataset=dict(type="ToyData", size=16), sampler=dict(type="DefaultSampler", shuffle=True), batch_size=4)
val_dataloader = dict(
    dataset=dict(type="ToyData", size=7), sampler=dict(type="DefaultSampler", shuffle=False), batch_size=2)
test_dataloader = val_dataloader
val_evaluator = dict(type="ToyMetric")
test_evaluator = val_evaluator
train_cfg = dict(max_epochs=2)
optim_wrapper = dict(optimizer=dict(type="SGD", lr=0.01))
default_hooks = dict(logger=dict(interval=2))
randomness = dict(seed=1)
"""

MakeSpec = Callable[..., RunSpec]
Run = Callable[[RunSpec], int]


@pytest.fixture
def make_spec(tmp_path: Path) -> MakeSpec:
    """Return a function that makes the spec of a toy training; keywords replace fields."""
    config = tmp_path / "toy.py"
    config.write_text(CONFIG)
    numbers = iter(range(1, 100))

    def make(**options: Any) -> RunSpec:
        work_dir = tmp_path / "work dir"
        run_dir = work_dir / f"20260101_0000{next(numbers):02d}"
        fields: dict[str, Any] = {
            "plugin": "toy",
            "package": "toy",
            "action": "train",
            "entry": "mimctl.engine.actions:train",
            "mimctl_version": __version__,
            "config": str(config),
            "work_dir": str(work_dir),
            "events_path": str(run_dir / "events.jsonl"),
            "result_path": str(run_dir / "result.json"),
            **options,
        }
        return RunSpec(**fields)

    return make


def start(spec: RunSpec, folder: Path, *, module: str = "child", prefix: Sequence[str] = ()) -> subprocess.Popen[str]:
    path = folder / f"spec-{time.monotonic_ns()}.json"
    spec.write(path)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [*prefix, sys.executable, "-P", "-m", f"mimctl.engine.{module}", str(path)],
        cwd=HERE,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> tuple[int, str]:
    out, err = process.communicate(timeout=240)
    assert out == ""
    return process.returncode, err


def run_agent(spec: RunSpec, folder: Path) -> tuple[int, str]:
    return finish(start(spec, folder, module="agent"))


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[RunSpec], int]]:
    """Return the child's own `run`; what it changes in a process of its own is put back."""
    monkeypatch.chdir(HERE)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setattr(sys, "path", [*sys.path])
    held = signal.getsignal(signal.SIGTERM)
    yield child.run
    signal.signal(signal.SIGTERM, held)


def events(spec: RunSpec) -> list[dict[str, Any]]:
    assert spec.events_path is not None
    return [json.loads(line) for line in Path(spec.events_path).read_text().splitlines()]


def result(spec: RunSpec) -> dict[str, Any]:
    assert spec.result_path is not None
    found: dict[str, Any] = json.loads(Path(spec.result_path).read_text())
    return found


def the_error(spec: RunSpec) -> dict[str, Any]:
    [error] = [event for event in events(spec) if event["event"] == "error"]
    return error


def test_child_is_imported_without_torch() -> None:
    code = (
        "import sys, mimctl.engine.child; print([m for m in ('torch', 'numpy', 'click', 'rich') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert found.stdout == "[]\n"


def test_train_then_test(make_spec: MakeSpec, run: Run, tmp_path: Path) -> None:
    spec = make_spec()
    assert run(spec) == 0
    trained = result(spec)
    work_dir = tmp_path / "work dir"
    assert trained["checkpoint"] == str(work_dir / "epoch_2.pth")
    assert trained["metrics"]["toy/count"] == 7
    assert sorted(path.name for path in work_dir.iterdir() if not path.name.startswith(".")) == [
        Path(spec.events_path or "").parent.name, "epoch_1.pth", "epoch_2.pth", "last_checkpoint", "toy.py",
    ]  # fmt: skip
    kinds = [event["event"] for event in events(spec)]
    assert set(kinds) == {"phase", "log", "step", "checkpoint", "metrics", "done"}
    assert kinds[-1] == "done"
    [first, *_] = [event for event in events(spec) if event["event"] == "step"]
    assert (first["phase"], first["step"], first["steps"], first["epoch"]) == ("train", 2, 4, 1)
    assert first["scalars"]["loss"] > 0

    tested = make_spec(
        action="test", entry="mimctl.engine.actions:test", checkpoint=trained["checkpoint"],
        options={"out": str(tmp_path / "predictions.pkl")},
    )  # fmt: skip
    assert run(tested) == 0
    assert result(tested)["metrics"] == trained["metrics"]
    assert list(tmp_path.glob("predictions*"))


def test_resumed_child_goes_on(make_spec: MakeSpec, run: Run, tmp_path: Path) -> None:
    first = make_spec(overrides={"train_cfg.max_epochs": 1})
    assert run(first) == 0
    second = make_spec(resume="auto")
    assert run(second) == 0
    assert [event["epoch"] for event in events(second) if event["event"] == "phase"] == [1, 2, 2]
    work_dir = tmp_path / "work dir"
    assert {path.name for path in work_dir.glob("*.pth")} == {"epoch_1.pth", "epoch_2.pth"}


def test_retraining_keeps_the_earlier_run(make_spec: MakeSpec, run: Run, tmp_path: Path) -> None:
    first = make_spec()
    assert run(first) == 0
    second = make_spec(overrides={"train_cfg.max_epochs": 1})
    assert run(second) == 0
    work_dir = tmp_path / "work dir"
    kept = Path(first.events_path or "").parent
    assert {path.name for path in work_dir.glob("*.pth")} == {"epoch_1.pth"}
    assert {path.name for path in kept.glob("*.pth")} == {"epoch_1.pth", "epoch_2.pth"}
    assert "max_epochs=1" in (work_dir / "toy.py").read_text().replace(" ", "")


def test_live_second_run_in_a_work_dir_is_refused(make_spec: MakeSpec, run: Run, tmp_path: Path) -> None:
    slow = make_spec(overrides={"custom_hooks": [{"type": "Trouble", "kind": "wait", "at": 5}]})
    first = start(slow, tmp_path)
    wait_until(lambda: (tmp_path / "work dir" / "epoch_1.pth").exists())
    second = make_spec()
    assert run(second) == 1
    error = the_error(second)
    assert error["code"] == "work-dir-in-use"
    assert str(first.pid) in error["causes"][0]
    first.kill()
    first.wait()
    third = make_spec(resume="auto")
    assert run(third) == 0
    assert (tmp_path / "work dir" / "epoch_2.pth").exists()


def test_a_job_of_one_rank_needs_no_port_of_its_own(
    make_spec: MakeSpec, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with socket.create_server(("", 0), family=socket.AF_INET6, dualstack_ipv6=True) as taken:
        variables = {"SLURM_PROCID": "0", "SLURM_NTASKS": "1", "SLURM_LOCALID": "0", "MASTER_ADDR": "localhost"}
        variables["TORCHELASTIC_USE_AGENT_STORE"] = "True"  # left over in the shell that submitted
        for name, value in {**variables, "MASTER_PORT": str(taken.getsockname()[1])}.items():
            monkeypatch.setenv(name, value)
        assert finish(start(make_spec(launcher=LauncherFacts(kind="slurm")), tmp_path)) == (0, "")


def test_interrupted_child_exits_with_130(make_spec: MakeSpec, tmp_path: Path) -> None:
    waits = {"type": "Trouble", "kind": "until", "at": 5, "folder": str(tmp_path)}
    process = start(make_spec(overrides={"custom_hooks": [waits]}), tmp_path)
    wait_until(lambda: (tmp_path / "waiting").exists())
    process.send_signal(signal.SIGINT)
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)  # the first asks for the end of the step, which never comes
    assert finish(process) == (130, "")


def test_child_saves_at_the_next_step_after_ctrl_c(make_spec: MakeSpec, run: Run, tmp_path: Path) -> None:
    waits = {"type": "Trouble", "kind": "until", "at": 5, "folder": str(tmp_path)}
    process = start(make_spec(overrides={"custom_hooks": [waits]}), tmp_path)
    wait_until(lambda: (tmp_path / "waiting").exists())
    process.send_signal(signal.SIGINT)
    (tmp_path / "go").touch()
    assert finish(process) == (130, "")
    saved = torch.load(tmp_path / "work dir" / "interrupted.pth", weights_only=True)["meta"]
    assert saved["iter"] == 6
    again = make_spec(resume="auto")
    assert run(again) == 0
    lines = [event["message"] for event in events(again) if event["event"] == "log"]
    assert any(line.endswith(f"interrupted.pth: epoch 1, iteration {saved['iter']}") for line in lines)


@pytest.mark.parametrize(
    ("change", "code", "exit_code"),
    [
        ({"overrides": {"custom_hooks": [{"type": "Trouble", "kind": "error", "at": 1}]}}, "child-crashed", 1),
        ({"overrides": {"custom_hooks": [{"type": "Trouble", "kind": "memory", "at": 1}]}}, "out-of-memory", 1),
        ({"overrides": {"model.type": "TojModel"}}, "unknown-type", 2),
        ({"overrides": {"optim_wrapper.optimizer.lrr": 1}}, "bad-argument", 2),
        ({"overrides": {"custom_imports.imports": ["no_such_module"]}}, "custom-import", 2),
        ({"resume": "/no/such/file.pth"}, "checkpoint-not-found", 1),
        ({"overrides": {"load_from": "https://weights.invalid/a.pth"}}, "weights-not-fetched", 1),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_failure_is_one_error_event(
    make_spec: MakeSpec, run: Run, change: dict[str, Any], code: str, exit_code: int
) -> None:
    spec = make_spec(**change)
    assert run(spec) == exit_code
    error = the_error(spec)
    assert (error["code"], error["exit_code"]) == (code, exit_code)
    assert ("traceback" in error["details"]) == (code == "child-crashed")


def test_without_events_the_error_goes_to_standard_error(
    make_spec: MakeSpec, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(make_spec(events_path=None, overrides={"model.type": "TojModel"})) == 2
    assert "error[unknown-type]: unknown model `TojModel`" in capsys.readouterr().err


def test_disk_and_permission_errors_are_explained(tmp_path: Path) -> None:
    full = child.explain(OSError(28, "No space left on device", str(tmp_path / "epoch_1.pth")))
    assert (full.code, full.message) == ("disk-full", f"no space left to write `{tmp_path}/epoch_1.pth`")
    assert child.explain(PermissionError(13, "Permission denied", "/root/x")).code == "no-permission"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a file system of 256 KiB; only root can."""
    folder = tmp_path / "small disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip("mounting a small file system needs root")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_full_disk_is_one_error_and_leaves_nothing_half_written(
    make_spec: MakeSpec, run: Run, small_disk: Path
) -> None:
    (small_disk / "filler").write_bytes(bytes(230 * 1024))
    spec = make_spec(work_dir=str(small_disk / "run"))
    assert run(spec) == 1
    assert the_error(spec)["code"] == "disk-full"
    left = [path for path in (small_disk / "run").rglob("*") if path.is_file()]
    assert not [path for path in left if path.suffix in (".pth", ".tmp")]


def test_work_dir_without_permission_is_one_error(make_spec: MakeSpec, tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o555)
    spec = make_spec(work_dir=str(closed / "run"), events_path=None, result_path=None)
    # Root may write anywhere unless it gives that up.
    prefix = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
    if prefix and shutil.which("setpriv") is None:
        pytest.skip("root may write anywhere, and setpriv is not there to change that")
    code, err = finish(start(spec, tmp_path, prefix=prefix))
    assert code == 1
    assert err.startswith(f"error[no-permission]: no permission for `{closed}/run`")


def test_two_ranks_fail_once_then_resume(make_spec: MakeSpec, run: Run, tmp_path: Path) -> None:
    ranks = LauncherFacts(kind="pytorch", num_procs=2)
    trouble = [{"type": "Trouble", "kind": "error", "at": 3, "rank": 1}]
    failing = make_spec(launcher=ranks, overrides={"custom_hooks": trouble})
    assert run_agent(failing, tmp_path) == (1, "")
    error = the_error(failing)
    assert (error["code"], error["details"]["rank"]) == ("child-crashed", 1)
    assert "a bug in a hook" in error["message"]
    assert error["causes"][-1] == f"on rank 1 of 2, host {socket.gethostname()}, with exit code 1"
    assert next(event["steps"] for event in events(failing) if event["event"] == "step") == 2

    second = make_spec(launcher=ranks, resume="auto")
    assert run_agent(second, tmp_path) == (0, ""), events(second)[-1]
    trained = result(second)
    assert (trained["epoch"], trained["metrics"]["toy/count"]) == (2, 7), "what evens out the ranks is not counted"
    [log] = Path(second.events_path or "").parent.glob("*_rank1.log")
    assert "resumed from" in log.read_text()
    alone = make_spec(action="test", entry="mimctl.engine.actions:test", checkpoint=trained["checkpoint"])
    assert run(alone) == 0
    assert result(alone)["metrics"] == pytest.approx(trained["metrics"])


@pytest.mark.slow
def test_killed_rank_is_named_and_the_others_stop(make_spec: MakeSpec, tmp_path: Path) -> None:
    trouble = [{"type": "Trouble", "kind": "kill", "at": 1, "rank": 1}]
    spec = make_spec(launcher=LauncherFacts(kind="pytorch", num_procs=2), overrides={"custom_hooks": trouble})
    assert run_agent(spec, tmp_path)[0] == 137
    error = the_error(spec)
    assert (error["code"], error["message"]) == ("rank-died", "rank 1 of 2 ended by signal SIGKILL")
    wait_until(lambda: not [line for line in processes() if str(tmp_path) in line])


@pytest.mark.slow
def test_terminated_agent_stops_all_ranks(make_spec: MakeSpec, tmp_path: Path) -> None:
    waiting = {"custom_hooks": [{"type": "Trouble", "kind": "wait", "at": 3}], "default_hooks.preemption": None}
    spec = make_spec(launcher=LauncherFacts(kind="pytorch", num_procs=2), overrides=waiting)
    process = start(spec, tmp_path, module="agent")
    wait_until(lambda: (tmp_path / "work dir" / "epoch_1.pth").exists())
    process.send_signal(signal.SIGTERM)
    assert finish(process) == (143, "")
    wait_until(lambda: not [line for line in processes() if str(tmp_path) in line])


def processes() -> list[str]:
    found = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    return [line for line in found.splitlines() if "mimctl.engine" in line]


def test_specs_of_another_schema_are_refused(make_spec: MakeSpec, tmp_path: Path) -> None:
    path = tmp_path / "spec.json"
    path.write_text(replace(make_spec(), schema_version=99).to_json())
    assert child.main([str(path)]) == 1

"""The batch script, read as text and run by a real bash with stand-ins for Slurm's own commands."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from patience import wait_until

from mimctl.errors import UsageError
from mimctl.launch.model import RunRequest, SlurmOptions
from mimctl.launch.plan import make_plan
from mimctl.launch.runs.files import read_exit_code
from mimctl.spec import LauncherFacts, RunSpec

SRUN = """\
#!/bin/bash
echo "srun $*" >> "$LOG"
echo "meet $MASTER_ADDR:$MASTER_PORT" >> "$LOG"
for word in "$@"; do last=$word; done
[ -e "$last" ] || exit 9
case "$SRUN_DOES" in
  fail) exit 7 ;;
  stopped) exit 143 ;;
  rank-lost|no-meeting-place) echo "{\\"code\\": \\"$SRUN_DOES\\"}" > "$RUN_DIR/ranks/error-1.json"; exit 143 ;;
  unfinished) touch "$RUN_DIR/unfinished"; exit 0 ;;
  slow) trap 'touch "$RUN_DIR/unfinished"; kill $!; exit 0' TERM; touch "$RUN_DIR/started"
    sleep 900 >/dev/null 2>&1 & wait ;;
esac
"""
SCONTROL = """\
#!/bin/bash
case "$1" in
  show) printf 'node7\\nnode8\\n' ;;
  requeue) echo "requeue $2" >> "$LOG"; exit "${REFUSES:-0}" ;;
esac
"""


def free_job() -> int:
    """Return a job's number whose ranks meet where nobody listens now."""
    for number in range(8105, 8999):
        with contextlib.suppress(OSError), socket.create_server(("", 20000 + number)):
            return number
    raise AssertionError("every port is taken")


JOB = free_job()
MEETING = f"node7:{20000 + JOB}"


def plan_of(tmp_path: Path, **changes):
    values = {
        "action": "train",
        "plugin": "det",
        "package": "mimctl_det",
        "entry": "mimctl.engine.actions:train",
        "python": Path("/my env/bin/python"),
        "run_dir": tmp_path / "work dir" / "20260101_000000",
        "config": tmp_path / "net.py",
        "work_dir": tmp_path / "work dir",
        "launcher": LauncherFacts(kind="slurm", device="cuda", num_procs=8, num_nodes=2),
        "slurm": SlurmOptions(partition="gpu", srun_args=("--mem=4 G",), job_name="net_train"),
        **changes,
    }
    return make_plan(RunRequest(**values))


def test_the_directives_say_what_was_asked(tmp_path):
    lines = [line for line in plan_of(tmp_path).script.splitlines() if line.startswith("#SBATCH")]
    assert lines == [
        "#SBATCH --job-name=net_train",
        "#SBATCH --nodes=2",
        "#SBATCH --ntasks-per-node=8",
        "#SBATCH --cpus-per-task=2",
        "#SBATCH --gres=gpu:8",
        "#SBATCH --partition=gpu",
        "#SBATCH --signal=USR2@60",
        f"#SBATCH '--output={tmp_path}/work dir/20260101_000000/slurm-%j.out'",
        "#SBATCH --open-mode=append",
        "#SBATCH --requeue",
    ]


def test_a_cpu_job_asks_for_no_gres_and_no_partition(tmp_path):
    facts = LauncherFacts(kind="slurm", device="cpu", num_procs=4, num_nodes=1)
    script = plan_of(tmp_path, launcher=facts, slurm=SlurmOptions()).script
    assert "gres" not in script
    assert "partition" not in script
    assert "--ntasks-per-node=4" in script


def directives(tmp_path, *typed: str) -> list[str]:
    script = plan_of(tmp_path, slurm=SlurmOptions(sbatch_args=typed)).script
    return [line.removeprefix("#SBATCH ") for line in script.splitlines() if line.startswith("#SBATCH")]


@pytest.mark.parametrize(
    ("typed", "kept", "gone"),
    [
        ("--gres=gpu:a100:8", "--gres=gpu:a100:8", "--gres=gpu:8"),
        ("--gpus-per-node=a100:8", "--gpus-per-node=a100:8", "--gres=gpu:8"),
        ("--gpus=16", "--gpus=16", "--gres=gpu:8"),
        ("--gres=lustre:1", "--gres=gpu:8,lustre:1", "--gres=gpu:8"),
        ("--no-requeue", "--no-requeue", "--requeue"),
        ("--signal=USR2@300", "--signal=USR2@300", "--signal=USR2@60"),
        ("--comment=it's $HOME", "'--comment=it'\"'\"'s $HOME'", ""),
    ],
)
def test_what_is_typed_for_sbatch_takes_the_place_of_ours(tmp_path, typed, kept, gone):
    lines = directives(tmp_path, typed)
    assert kept in lines
    assert gone not in lines
    names = [line.strip("'").partition("=")[0] for line in lines]
    assert len(names) == len(set(names))


@pytest.fixture
def job(tmp_path):
    """Run the script of a plan as a batch job; return the process and its log."""
    bin_dir = tmp_path / "bin"
    bin_dir.mkdir()
    for name, text in (("srun", SRUN), ("scontrol", SCONTROL)):
        (bin_dir / name).write_text(text)
        (bin_dir / name).chmod(0o755)

    def run(plan, **variables) -> tuple[subprocess.Popen[str], Path]:
        run_dir = plan.spec_path.parent
        run_dir.mkdir(parents=True, exist_ok=True)
        plan.spec.write(plan.spec_path)
        replace(plan.spec, resume="auto").write(run_dir / "resume.json")
        for path, text in plan.files.items():
            path.write_text(text)
        environment = {
            "PATH": f"{bin_dir}{os.pathsep}{os.environ['PATH']}",
            "LOG": str(tmp_path / "log"),
            "RUN_DIR": str(run_dir),
            "SLURM_JOB_ID": str(JOB),
            "SLURM_JOB_NODELIST": "node[7-8]",
            **variables,
        }
        process = subprocess.Popen(
            ["bash", plan.argv[-1]], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        return process, tmp_path / "log"

    return run


def listen_for_a_job() -> socket.socket:
    """Listen where the ranks of some job would meet."""
    for port in range(27000, 27999):
        with contextlib.suppress(OSError):
            return socket.create_server(("", port))
    raise AssertionError("every port is taken")


def test_ranks_meet_at_a_port_where_nobody_answers(tmp_path, job):
    with listen_for_a_job() as taken:
        port = taken.getsockname()[1]
        process, log = job(plan_of(tmp_path), SLURM_JOB_ID=str(port - 20000))
        process.communicate(timeout=240)
        met = int(log.read_text().rpartition(":")[2])
        assert port < met < port + 100
        process, log = job(plan_of(tmp_path), SLURM_JOB_ID=str(port - 20000), MASTER_PORT=str(port))
        process.communicate(timeout=240)
    assert int(log.read_text().rpartition(":")[2]) == port, "who says where the ranks meet is believed"


def test_the_job_runs_one_child_per_rank_and_meets_at_the_first_node(tmp_path, job):
    plan = plan_of(tmp_path)
    process, log = job(plan)
    out, err = process.communicate(timeout=240)
    assert (process.returncode, err) == (0, "")
    assert f"ranks meet at {MEETING}" in out
    child = f"/my env/bin/python -u -P -m mimctl.engine.child {plan.spec_path}"
    assert log.read_text().splitlines() == [
        f"srun --kill-on-bad-exit=1 --cpus-per-task=2 --export=ALL --mem=4 G {child}",
        f"meet {MEETING}",
    ]


SET_UP = ("export GREETING='it is $5'", "if true; then\n  cd /\nfi", "export MASTER_ADDR=of-the-fabric")


def test_set_up_lines_come_before_the_ranks_who_get_what_they_export(tmp_path, job):
    container = ("env", "WHERE=a box", "sh", "-c", 'echo "$GREETING in $WHERE" >> "$LOG"; exec "$@"', "--")
    process, log = job(plan_of(tmp_path, slurm=SlurmOptions(setup=SET_UP, container=container)))
    _, err = process.communicate(timeout=240)
    assert (process.returncode, err) == (0, "")
    assert f"meet of-the-fabric:{20000 + JOB}" in log.read_text()
    assert f" {' '.join(container)} /my env/bin/python -u" in log.read_text()


def test_a_set_up_line_that_fails_ends_the_job_with_its_code(tmp_path, job):
    plan = plan_of(tmp_path, slurm=SlurmOptions(setup=("true", "(exit 9)", "touch never")))
    process, log = job(plan)
    _, err = process.communicate(timeout=240)
    assert (process.returncode, err) == (9, "set-up failed with exit code 9: (exit 9)\n")
    assert not log.exists(), "no rank was started"
    assert (plan.run_dir / "exit_code").read_text() == "9\n"


def test_what_set_up_lines_leave_behind_does_not_change_what_follows(tmp_path, job):
    plan = plan_of(tmp_path, slurm=SlurmOptions(setup=("set -eu", "export RUN=/elsewhere JOB=1 SPEC=x")))
    process, log = job(plan, SRUN_DOES="fail")
    process.communicate(timeout=240)
    assert process.returncode == 7
    assert (plan.run_dir / "exit_code").read_text() == "7\n"
    assert log.read_text().splitlines()[0].endswith(f"{plan.spec_path}")


def test_the_users_master_addr_wins(tmp_path, job):
    process, log = job(plan_of(tmp_path), MASTER_ADDR="fabric7")
    process.communicate(timeout=240)
    assert f"meet fabric7:{20000 + JOB}" in log.read_text()


def test_a_failing_step_gives_the_job_its_code(tmp_path, job):
    process, log = job(plan_of(tmp_path), SRUN_DOES="fail")
    process.communicate(timeout=240)
    assert process.returncode == 7
    assert "requeue" not in log.read_text()


def test_an_unfinished_run_is_requeued_and_goes_on_from_its_checkpoint(tmp_path, job):
    plan = plan_of(tmp_path)
    process, log = job(plan, SRUN_DOES="unfinished")
    process.communicate(timeout=240)
    assert log.read_text().splitlines()[-1] == f"requeue {JOB}"
    process, log = job(plan, SLURM_RESTART_COUNT="1")
    process.communicate(timeout=240)
    assert log.read_text().splitlines()[-2].endswith("/spec.json"), "it has not begun: whose checkpoints are there?"
    (plan.run_dir / "20260101_000000.log").touch()
    process, log = job(plan, SLURM_RESTART_COUNT="1")
    process.communicate(timeout=240)
    assert log.read_text().splitlines()[-2].endswith("/resume.json")
    assert RunSpec.read(plan.spec_path.parent / "resume.json").resume == "auto"
    assert not (plan.spec_path.parent / "unfinished").exists()


def test_ranks_that_were_stopped_before_they_could_save_are_started_again(tmp_path, job):
    process, log = job(plan_of(tmp_path), SRUN_DOES="stopped")
    process.communicate(timeout=240)
    assert log.read_text().splitlines()[-1] == f"requeue {JOB}"


def test_an_array_task_requeues_itself_alone(tmp_path, job):
    variables = {"SLURM_ARRAY_JOB_ID": "90", "SLURM_ARRAY_TASK_ID": "3"}
    process, log = job(plan_of(tmp_path), SRUN_DOES="unfinished", **variables)
    process.communicate(timeout=240)
    assert log.read_text().splitlines()[-1] == "requeue 90_3"


@pytest.mark.parametrize(("said", "code"), [("no-meeting-place", 1), ("rank-lost", 0)])
def test_a_rank_that_failed_by_itself_is_not_queued_again_for_those_that_were_ended_with_it(tmp_path, job, said, code):
    plan = plan_of(tmp_path)
    process, log = job(plan, SRUN_DOES=said)
    process.communicate(timeout=240)
    assert process.returncode == code
    assert ("\nrequeue" in log.read_text()) is (code == 0)


def test_requeueing_ends_after_many_restarts(tmp_path, job):
    plan = plan_of(tmp_path)
    process, log = job(plan, SRUN_DOES="unfinished", SLURM_RESTART_COUNT="20")
    process.communicate(timeout=240)
    assert "\nrequeue" not in log.read_text()
    assert (process.returncode, read_exit_code(plan.run_dir)) == (143, 143), "half a training is no success"


def test_a_job_that_may_not_be_requeued_says_how_to_go_on(tmp_path, job):
    plan = plan_of(tmp_path)
    process, log = job(plan, SRUN_DOES="unfinished", REFUSES="1")
    out, _ = process.communicate(timeout=240)
    assert log.read_text().splitlines()[-1] == f"requeue {JOB}"
    assert (process.returncode, read_exit_code(plan.run_dir)) == (143, 143)
    folder = str(plan.run_dir).replace(" ", "\\ ")
    assert f"job {JOB} is not queued again; go on with it: mimctl resume {folder}\n" in out


def test_a_terminated_job_ends_with_143_and_is_not_requeued_by_the_script(tmp_path, job):
    plan = plan_of(tmp_path)
    process, log = job(plan, SRUN_DOES="slow")
    wait_until(lambda: (plan.spec_path.parent / "started").exists())
    step = int(Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()[0])
    process.send_signal(signal.SIGTERM)
    wait_until(lambda: read_exit_code(plan.run_dir) == 143)  # it may be killed before its ranks end
    os.kill(step, signal.SIGTERM)
    process.communicate(timeout=240)
    assert (process.returncode, read_exit_code(plan.run_dir)) == (143, 143)
    assert "requeue" not in log.read_text()


@pytest.mark.parametrize("name", ["a\nb", "a\rb", "a\0b"])
def test_a_name_that_would_end_a_directive_is_refused(tmp_path, name):
    with pytest.raises(UsageError, match="line break"):
        plan_of(tmp_path, slurm=SlurmOptions(job_name=name))


def test_a_folder_that_slurm_cannot_write_to_is_refused(tmp_path):
    with pytest.raises(UsageError, match="backslash"):
        plan_of(tmp_path / "a\\b")

"""What a job asks for: held against what the nodes have, taken from the cluster's settings, passed on as typed."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest
from login_node import Login

CANARY = "s3cr3t-canary-7a1f"
BOX = """\
#!/bin/bash
# Stands for a container: a host name of its own, and a note of what came in.
hostname box-of-$SLURM_PROCID
printf '%s\\n' "$GREETING" "$CUDA_VISIBLE_DEVICES" "$(hostname)" > "$BOX_DIR/rank-$SLURM_PROCID"
[ -z "$BOX_CODE" ] || exit "$BOX_CODE"
exec "$@"
"""


@pytest.fixture
def box(login: Login) -> str:
    """Return words that each rank can be started through, `BOX_DIR` gets a file of each rank."""
    path = login.folder / "a box.sh"
    path.write_text(BOX)
    path.chmod(0o755)
    login.environment["BOX_DIR"] = str(login.folder)
    return f"unshare --uts '{path}'"


def directives(login: Login, *words: object) -> list[str]:
    done = login.train(*words, "--dry-run", "--json")
    assert done.returncode == 0, done.stderr
    script: str = json.loads(done.stdout)["script"]
    return [line.removeprefix("#SBATCH ") for line in script.splitlines() if line.startswith("#SBATCH")]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--gpus", 5, "-g", 5], "error[partition-too-small]: no node of partition `low` has 5 GPUs"),
        (["--gpus", 12], "error[partition-too-small]: partition `low` has 2 nodes for this job, 3 are wanted"),
        (["--procs", 9], "error[partition-too-small]: no node of partition `low` has 9 CPUs"),
        (
            ["--sbatch-args", "--gres=gpu:a100:1"],
            "error[partition-too-small]: no node of partition `low` has 1 a100 GPU",
        ),
        (["-p", "hihg"], "error[unknown-partition]: this cluster has no partition `hihg`"),
    ],
)
def test_what_no_node_has_is_refused_before_it_is_submitted(login: Login, words: list[object], told: str) -> None:
    done = login.train(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert told in done.stderr
    assert "hint: did you mean `high`?" in done.stderr or "`n[1-2]` (2 nodes): 8 CPUs, 8000 MiB, gpu:4" in done.stderr
    assert json.loads(login.mimctl("status", "--json").stdout)["runs"] == []
    assert not (login.folder / "work_dirs").exists()


def test_gpus_are_spread_as_the_nodes_have_them(login: Login) -> None:
    assert {"--nodes=2", "--ntasks-per-node=4", "--gres=gpu:4"} <= set(directives(login, "--gpus", 8))
    assert {"--nodes=1", "--ntasks-per-node=3", "--gres=gpu:3"} <= set(directives(login, "--gpus", 3))


def test_arguments_arrive_as_typed_and_once(login: Login) -> None:
    typed = "--gres=gpu:2 -J 'my job' --comment \"it's two words\" --mem 1G"
    done = login.train("--gpus", 4, "--sbatch-args", typed, "--detach")
    assert done.returncode == 0, done.stderr
    job = login.status(done.stdout.strip())["job_id"]
    told = login.job_env(job)
    login.mimctl("cancel", "last")
    assert re.search(r"NumNodes=2(-2)?\s", told)
    assert {"TresPerNode=gres:gpu:2", "MinMemoryNode=1G"} <= set(told.split())
    assert "JobName=my job\n" in told
    assert "Comment=it's two words" in told


def test_what_is_set_for_a_cluster_reaches_its_jobs(login: Login, box: str) -> None:
    home = Path(login.environment["MIMCTL_HOME"])
    home.mkdir()
    (home / "config.toml").write_text(
        "[clusters.mimctltest]\n"
        'partition = "high"\n'
        "time = 7\n"
        f"container = {json.dumps(box)}\n"
        "setup = [\"export GREETING='hello $5'\"]\n"
        'sbatch_args = "--comment=ours"\n'
        "\n"
        "[clusters.elsewhere]\n"
        'partition = "nowhere"\n'
    )
    done = login.train("--gpus", 0, "--setup", 'export GREETING="$GREETING & you"')
    assert done.returncode == 0, done.stderr
    assert "set for cluster `mimctltest`: partition, time, setup, container, sbatch_args" in done.stderr
    told = login.job_env(login.status("last")["job_id"])
    assert "Partition=high" in told
    assert "TimeLimit=00:07:00" in told
    assert "Comment=ours" in told
    greeting, _, host = (login.folder / "rank-0").read_text().splitlines()
    assert (greeting, host) == ("hello $5 & you", "box-of-0")
    assert (login.folder / "work_dirs/toy/epoch_2.pth").exists()
    shown = login.mimctl("settings", "show", "--origin", "clusters.mimctltest").stdout
    assert re.search(r"clusters\.mimctltest\.partition +high +\(.*config\.toml:2\)", shown)


def test_tasks_of_an_array_are_set_up_and_started_through_the_same_words(login: Login, box: str) -> None:
    login.environment["BOX_DIR"] = "."  # each task has its own: where it is submitted from
    grid = ("--grid", "optim_wrapper.optimizer.lr=0.05,0.01", "--max-jobs", 2)
    setup = ("--setup", 'cd "$RUN"', "--setup", "export GREETING=hi BOX_CODE=0")
    done = login.mimctl(
        "sweep", "det", "toy.py", "-l", "slurm", "--gpus", 2, "-c", 1, *grid, *setup, "--container", box, "--json"
    )
    assert done.returncode == 0, done.stderr
    notes = sorted(login.folder.glob("sweeps/toy/trials/*/run/rank-*"))
    assert [note.parent.parent.name + note.name for note in notes] == [
        f"{trial}rank-{rank}" for trial in ("0000", "0001") for rank in (0, 1)
    ]
    for note in notes:
        greeting, gpus, _ = note.read_text().splitlines()
        assert (greeting, len(gpus.split(","))) == ("hi", 2)


@pytest.mark.parametrize("how", ["submitted", "watched"])
def test_a_set_up_line_that_fails_is_told_and_starts_no_rank(login: Login, box: str, how: str) -> None:
    words = ["--foreground"] if how == "watched" else []
    done = login.train("--gpus", 0, "--setup", "(exit 9)", "--container", box, *words)
    assert done.returncode == 9
    assert "set-up failed with exit code 9: (exit 9)" in done.stderr
    assert not list(login.folder.glob("rank-*"))
    assert login.status("last")["state"] == "failed"


def test_set_up_lines_that_bash_cannot_read_are_no_job(login: Login) -> None:
    done = login.train("--gpus", 0, "--setup", "echo 'open")
    assert done.returncode == 2
    assert "`--setup echo 'open` is no shell" in done.stderr
    assert "unexpected EOF" in done.stderr


def test_a_secret_of_the_environment_is_written_and_printed_nowhere(login: Login) -> None:
    secrets = {"WANDB_API_KEY": CANARY, "MY_TOKEN": CANARY, "AWS_SECRET_ACCESS_KEY": CANARY}
    trouble = "custom_hooks=[dict(type='Trouble', kind='error', at=3)]"
    line = ["--gpus", "0", "--setup", "export A=1", "--cfg-options", trouble]
    before = os.umask(0o022)
    try:
        failed = login.train(*line, **secrets)
        dry = login.train(*line, "--dry-run", "-v", **secrets)
        as_json = login.train(*line, "--dry-run", "--json", **secrets)
        told = login.mimctl("status", "last", "--json", **secrets)
        logs = login.mimctl("logs", "last", **secrets)
    finally:
        os.umask(before)
    assert failed.returncode == 1
    assert "ValueError: a bug in a hook" in failed.stderr, "the way of errors was gone, too"
    for done in (failed, dry, as_json, told, logs):
        assert CANARY not in done.stdout + done.stderr
    files = [each for each in login.folder.rglob("*") if each.is_file()]
    names = {each.name for each in files}
    assert {"spec.json", "resume.json", "job.sbatch", "run.json", "toy.py", "events.jsonl", "error-0.json"} <= names
    for each in files:
        assert CANARY.encode() not in each.read_bytes(), each


def test_mims_own_line_asks_for_the_same(login: Login) -> None:
    typed = ["-G", 4, "-g", 2, "-p", "low", "-y"]
    asked = {"--nodes=2", "--ntasks-per-node=2", "--cpus-per-task=1", "--gres=gpu:2", "--partition=low"}
    assert asked <= set(directives(login, *typed))
    with_more = directives(login, *typed, "--srun-args", "--comment='two words' --mem=1G")
    assert asked | {"'--comment=two words'", "--mem=1G"} <= set(with_more)
    assert not [line for line in directives(login, "-g", 0) if "gpu" in line], "mim asked for `gpu:0`, an error"


@pytest.mark.parametrize("how", ["submitted", "watched"])
def test_the_exit_code_of_a_rank_is_ours(login: Login, how: str) -> None:
    words = ["--foreground"] if how == "watched" else []
    done = login.train("--gpus", 0, "--container", "sh -c 'echo said; exit 7'", *words)
    assert done.returncode == 7
    assert "ended with exit code 7" in done.stderr
    assert "said" in done.stderr

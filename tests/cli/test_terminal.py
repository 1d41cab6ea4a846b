"""Progress is drawn on a terminal's stderr alone; a batch job is written, not submitted."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import threading

from toy_toolbox import command

from mimctl.spec import RunSpec


def with_stderr_on_a_terminal(arguments, environment, folder) -> tuple[int, str, str]:
    controller, terminal = pty.openpty()
    process = subprocess.Popen(
        command(*arguments),
        cwd=folder,
        env={**environment, "TERM": "xterm", "COLUMNS": "100"},
        stdout=subprocess.PIPE,
        stderr=terminal,
        stdin=subprocess.DEVNULL,
    )
    os.close(terminal)
    seen: list[bytes] = []

    def drain() -> None:
        while True:
            try:
                chunk = os.read(controller, 4096)
            except OSError:
                return
            if not chunk:
                return
            seen.append(chunk)

    reader = threading.Thread(target=drain)
    reader.start()
    out, _ = process.communicate(timeout=240)
    reader.join(timeout=240)
    os.close(controller)
    return process.returncode, out.decode(), b"".join(seen).decode()


def test_a_terminal_sees_a_bar_and_the_pipe_only_data(environment, toy, tmp_path):
    folder = tmp_path / "here"
    folder.mkdir()
    line = ["train", "toy", "toy_small", "--gpus", "0"]
    code, out, shown = with_stderr_on_a_terminal(line, environment, folder)
    assert code == 0
    assert out == f"{folder}/work_dirs/toy_small/epoch_2.pth\n"
    assert "\x1b[" in shown
    assert "val: toy/score 0.5" in shown


def test_quiet_draws_nothing_on_a_terminal(environment, toy, tmp_path):
    folder = tmp_path / "here"
    folder.mkdir()
    line = ["train", "toy", "toy_small", "--gpus", "0", "-q"]
    assert with_stderr_on_a_terminal(line, environment, folder) == (0, "", "")


def test_without_slurm_a_job_is_written_and_the_lack_is_told(mimctl, toy, tmp_path):
    counts = ["-G", "16", "-g", "8", "-p", "gpu", "--srun-args", "--mem 4G"]
    said = mimctl("train", "toy", "toy_small", "-l", "slurm", *counts, env={"PATH": str(tmp_path)})
    assert said.code == 1
    assert "error[slurm-missing]: there is no `sbatch` on this machine" in said.err
    (path,) = (tmp_path / "here").rglob("job.sbatch")
    script = path.read_text()
    assert "#SBATCH --nodes=2\n" in script
    assert "#SBATCH --mem=4G\n" in script, "memory counts for the whole job, as under mim"
    spec = RunSpec.read(path.with_name("spec.json"))
    assert (spec.launcher.kind, spec.launcher.num_procs, spec.launcher.num_nodes) == ("slurm", 8, 2)


def test_a_slurm_dry_run_prints_the_script_and_writes_nothing(mimctl, toy, tmp_path):
    said = mimctl("train", "toy", "toy_small", "-l", "slurm", "--gpus", "0", "--dry-run")
    assert said.code == 0
    assert said.out.startswith("#!/bin/bash\n#SBATCH --job-name=toy_small_train\n")
    assert "gres" not in said.out
    assert list((tmp_path / "here").iterdir()) == []
    document = json.loads(mimctl("train", "toy", "toy_small", "-l", "slurm", "--dry-run", "--json").out)
    assert "--gres=gpu:1" in document["script"]


def test_gpus_that_do_not_divide_into_nodes_are_refused_before_anything_is_written(mimctl, toy, tmp_path):
    said = mimctl("train", "toy", "toy_small", "-l", "slurm", "-G", "9", "-g", "4")
    assert said.code == 2
    assert "does not divide into nodes of `--gpus-per-node 4`" in said.err
    assert list((tmp_path / "here").iterdir()) == []

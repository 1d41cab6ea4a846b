"""What people name things arrives as they named it: through sbatch's own reading of the script, bash and srun."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from mimctl.launch.model import LaunchOptions, RunRequest
from mimctl.launch.plan import make_plan
from mimctl.launch.slurm.asking import ask_for
from mimctl.launch.slurm.client import submit
from mimctl.settings.clusters import ClusterDefaults
from mimctl.spec import LauncherFacts

# A file's name may hold anything but `/` and NUL; line breaks and backslashes are refused.
NAMES = st.text(st.characters(codec="utf-8", exclude_characters="/\0\r\n\\", exclude_categories=["Cs"]), max_size=30)
RANK = """\
#!/bin/sh
# Stands for the target's Python: writes what it was called with.
for last in "$@"; do :; done
printf '%s\\0' "$@" "$PWD" "$SAID" "$BOXED" > "$(dirname "$last")/arguments.tmp"
mv "$(dirname "$last")/arguments.tmp" "$(dirname "$last")/arguments"
"""


@pytest.mark.parametrize("is_watched", [False, True], ids=["sbatch", "srun"])
@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(name=NAMES, folder=NAMES)
@example(name='it\'s $HOME `id` "x" ; rm -rf / #', folder="a b'c\"d$HOME`id`%j &|;#*?")
@example(name="-n9", folder="--wrap=evil")
@example(name="größe 大", folder="%j%a%A%%")
def test_names_round_trip(cluster: dict[str, str], tmp_path: Path, is_watched: bool, name: str, folder: str) -> None:
    run_dir = tmp_path / str(time.monotonic_ns()) / f"x{folder}"
    run_dir.mkdir(parents=True)
    python = run_dir / f"py {folder[:20]}"
    python.write_text(RANK)
    python.chmod(0o755)
    typed = LaunchOptions(
        launcher="slurm",
        cpus_per_task=1,
        foreground=is_watched,
        setup=(f"export SAID={shlex.quote(name)}",),
        container=shlex.join(["sh", "-c", 'export BOXED="$1"; shift; exec "$@"', "sh", folder]),
        sbatch_args=shlex.join(["--comment", f"c{name}", f"--mail-user={folder}"]),
        srun_args=shlex.join(["--chdir", str(run_dir)]),
    )
    request = RunRequest(
        action="train",
        plugin="det",
        package="mimctl_det",
        entry="a:b",
        python=python,
        run_dir=run_dir,
        work_dir=run_dir,
        launcher=LauncherFacts(kind="slurm", num_procs=1),
        slurm=ask_for(typed, ClusterDefaults(), {}, job_name=f"j{name}"),
    )
    plan = make_plan(request)
    for path, text in plan.files.items():
        path.write_text(text)
    environment = {**os.environ, **cluster}
    if is_watched:
        subprocess.run(plan.argv, env=environment, check=True, capture_output=True, timeout=240)
    else:
        job = submit(Path(plan.argv[-1]), plan.argv[2:-1], environ=environment)
        deadline = time.monotonic() + 240
        while not (run_dir / "exit_code").exists():
            assert time.monotonic() < deadline, (run_dir / f"slurm-{job}.out").read_text()
            time.sleep(0.05)
        assert (run_dir / f"slurm-{job}.out").exists()
        told = subprocess.run(["scontrol", "-o", "show", "job", job], env=environment, capture_output=True)
        assert f"JobName=j{name} ".encode() in told.stdout
        assert f"Comment=c{name} ".encode() in told.stdout
    words = (run_dir / "arguments").read_bytes().split(b"\0")[:-1]
    assert [os.fsdecode(each) for each in words] == [
        "-u",
        "-P",
        "-m",
        "mimctl.engine.child",
        str(run_dir / "spec.json"),
        str(run_dir),
        name,
        folder,
    ]
    assert json.loads(plan.spec.to_json())["work_dir"] == str(run_dir)

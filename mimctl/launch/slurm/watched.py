"""A run as a step of Slurm that its user waits for: srun's options, and the script that each task of it is."""

from __future__ import annotations

import shlex

from mimctl.launch.model import RunRequest
from mimctl.launch.slurm.options import command_of, ends_of_tasks, job_options
from mimctl.launch.slurm.ports import port_of_task
from mimctl.launch.slurm.setup import render_setup

_RANK = """\
#!/bin/bash
# One rank (with --elastic one node) of a run that its user watches: `srun ... bash rank.sh SPEC`.
{setup}export MASTER_ADDR="${{MASTER_ADDR:-$(scontrol show hostnames "$SLURM_STEP_NODELIST" | head -n 1)}}"
{port}
export MIMCTL_ERROR_DIR={ranks}
exec {child} "$1"
"""


def render_rank(request: RunRequest) -> str:
    """Return the script that each task of a watched run is: where the ranks meet, then the run."""
    ranks = shlex.quote(str(request.run_dir / "ranks"))
    return _RANK.format(
        port=port_of_task(request.port, ranks),
        ranks=ranks,
        setup=render_setup(request.slurm),
        child=shlex.join(command_of(request)),
    )


def srun_options(request: RunRequest) -> list[str]:
    """Return srun's options for a watched run, unquoted; one Ctrl-C is enough to end it.

    Who watches ends it when a rank has failed: Slurm would give the others `KillWait`, and listen to nobody meanwhile.
    """
    options = job_options(request)
    together = ends_of_tasks(request) if request.launcher.is_elastic else ["--kill-on-bad-exit=0"]
    return [*together, "--quit-on-interrupt", *options, *request.slurm.srun_args]

"""Render a run as a plain, readable, resubmittable sbatch script.

The trap and requeue rules are those of docs/explanation/launching.md: a preempted job comes back, a cancelled one
stays dead.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

from mimctl.launch.model import RunRequest
from mimctl.launch.slurm.arguments import argument_of
from mimctl.launch.slurm.options import command_of, cpus_of, ends_of_tasks, job_options, require_writable
from mimctl.launch.slurm.ports import port_of_batch
from mimctl.launch.slurm.ranks import CONSEQUENCES
from mimctl.launch.slurm.setup import render_setup

MAX_RESTARTS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrayOf:
    """Many runs as one job array: run 7 lies in `<folder>/0007/<below>`."""

    folder: Path
    below: str
    tasks: str
    """The numbers, as Slurm writes them: `0-3,7`."""
    most: int
    """So many at a time."""


_SCRIPT = """\
#!/bin/bash
{directives}

RUN={run}
rm -rf "$RUN/unfinished" "$RUN/ranks" "$RUN/exit_code"
mkdir -p "$RUN/ranks"

{setup}JOB="$SLURM_JOB_ID"
if [ -n "${{SLURM_ARRAY_JOB_ID:-}}" ]; then JOB="${{SLURM_ARRAY_JOB_ID}}_${{SLURM_ARRAY_TASK_ID}}"; fi
SPEC="$RUN/spec.json"
# After a preemption, and when it is submitted to be resumed, a run that had begun goes on from its newest checkpoint;
# before it had (it has no log), what lies in the work dir may be an earlier run's.
LOGS=("$RUN"/*.log)
if [ "${{SLURM_RESTART_COUNT:-0}}" -gt 0 ] || [ -n "${{MIMCTL_RESUME:-}}" ]; then
  if [ -e "${{LOGS[0]:-}}" ]; then SPEC="$RUN/resume.json"; fi
fi
# What a rank fails with is written here, for srun itself reports another rank's end as often as not.
export MIMCTL_ERROR_DIR="$RUN/ranks"

# Ranks meet at the first node of this allocation, where this script runs; a MASTER_ADDR that you export wins.
export MASTER_ADDR="${{MASTER_ADDR:-$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)}}"
{port}
echo "ranks meet at $MASTER_ADDR:$MASTER_PORT"

TERMED=
# It may not live to see its ranks end.
trap 'TERMED=1; echo 143 > "$RUN/exit_code"' TERM
{srun} &
STEP=$!
wait "$STEP"; CODE=$?
# A trapped signal ends `wait` early; the step is still there then.
while kill -0 "$STEP" 2>/dev/null; do wait "$STEP"; CODE=$?; done
# Of a rank that failed and those that were ended with it srun returns the higher code; what others said of their end
# is no failure of their own.
OTHERS='"code": "({consequences})"'
if [ "$CODE" -eq 143 ] && grep -LsE "$OTHERS" "$RUN"/ranks/error-*.json | grep -q .; then CODE=1; fi

if [ -n "$TERMED" ] && {{ [ -e "$RUN/unfinished" ] || [ "$CODE" -ne 0 ]; }}; then
  # TERM came: Slurm itself requeues a job that it preempted and leaves a cancelled one dead.
  CODE=143
elif [ -e "$RUN/unfinished" ] || [ "$CODE" -eq 143 ]; then
  # This script saw its ranks stop: warned of the end, or terminated before they could save (143).
  if [ "${{SLURM_RESTART_COUNT:-0}}" -lt {max_restarts} ] && scontrol requeue "$JOB"; then exit 0; fi
  echo "job $JOB is not queued again; go on with it: mimctl resume $(printf %q "$RUN")"
  CODE=143
fi
echo "$CODE" > "$RUN/exit_code"
exit "$CODE"
"""


def render_script(request: RunRequest, *, array: ArrayOf | None = None) -> str:
    """Return the script that runs the specification in the run's folder, on a restart its twin; one task per rank.

    `--elastic` has one task per node. With `array` each task of a job array is one run, in a folder named after the
    task's number.
    """
    run = shlex.quote(str(request.run_dir))
    if array is not None:
        folder, below = shlex.quote(str(array.folder)), array.below
        run = f'{folder}/$(printf %04d "$SLURM_ARRAY_TASK_ID")/{below}'
    srun = [
        "srun",
        *ends_of_tasks(request),
        # From Slurm 22.05 on srun no longer takes it over from sbatch.
        f"--cpus-per-task={cpus_of(request)}",
        # What the ranks need of the script reaches them, whatever --export sbatch was given.
        "--export=ALL",
        *request.slurm.srun_args,
        *command_of(request),
    ]
    return _SCRIPT.format(
        directives="\n".join(f"#SBATCH {shlex.quote(each)}" for each in sbatch_options(request, array=array)),
        port=port_of_batch(request.port),
        run=run,
        setup=render_setup(request.slurm, run=run),
        srun=f'{shlex.join(srun)} "$SPEC"',
        # A signal to a whole step reaches processes that load data, too.
        consequences="|".join([*CONSEQUENCES, "worker-died"]),
        max_restarts=MAX_RESTARTS,
    )


def sbatch_options(request: RunRequest, *, array: ArrayOf | None = None) -> list[str]:
    """Return sbatch's options, unquoted: GPUs and the partition only where there are any.

    They stand in the script, for people and for resubmitting it, and go to sbatch as arguments, which win over what
    the environment says. What was typed takes the place of what would follow from other options.
    """
    # `%` begins a pattern in the name of the output file.
    output = str(request.run_dir).replace("%", "%%") + "/slurm-%j.out"
    ours = [f"--signal=USR2@{request.slurm.lead_s}"] if request.action == "train" else []
    if array is not None:
        ours.append(f"--array={array.tasks}%{array.most}")
        output = str(array.folder).replace("%", "%%") + f"/%4a/{array.below}/slurm-%A_%a.out"
    ours += [f"--output={output}", "--open-mode=append", "--requeue"]
    typed = {argument_of(each).name.removeprefix("no-") for each in request.slurm.sbatch_args}
    found = [*job_options(request), *(each for each in ours if argument_of(each).name not in typed)]
    require_writable(found, output)
    return found

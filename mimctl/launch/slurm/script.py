"""Render a run as a plain, readable, resubmittable sbatch script.

The trap and requeue rules are those of docs/explanation/launching.md: a preempted job comes back, a cancelled one
stays dead.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

from mimctl.errors import UsageError
from mimctl.launch.model import RunRequest, SlurmOptions
from mimctl.launch.slurm.arguments import GPU_NAMES, Argument, argument_of
from mimctl.launch.slurm.fitting import is_gpu
from mimctl.launch.slurm.ranks import CONSEQUENCES

MAX_RESTARTS = 20
AGENTS_END_S = 30
"""Seconds that the agents of `--elastic` have to end after the first of them: they end together, by themselves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrayOf:
    """Many runs as one job array: run 7 lies in `<folder>/0007/<below>`."""

    folder: Path
    below: str
    tasks: str
    """The numbers, as Slurm writes them: `0-3,7`."""
    most: int
    """So many at a time."""


_PORT = "$((20000 + SLURM_JOB_ID % 12000))"
"""Below 32768, from where systems give ports away by themselves; a step's tasks all come to the same."""

_RANK = """\
#!/bin/bash
# One rank (with --elastic one node) of a run that its user watches: `srun ... bash rank.sh SPEC`.
{setup}export MASTER_ADDR="${{MASTER_ADDR:-$(scontrol show hostnames "$SLURM_STEP_NODELIST" | head -n 1)}}"
export MASTER_PORT="{port}"
export MIMCTL_ERROR_DIR={ranks}
exec {child} "$1"
"""

_SETUP = """\
# What --setup and the settings of this cluster say comes first; a line that fails ends it all.
set_up() {{ [ "$1" -eq 0 ] || {{ echo "set-up failed with exit code $1: $2" >&2; {on_failure}exit "$1"; }}; }}
{lines}
{afterwards}
"""

_FREE_PORT = """\
if [ -z "${{MASTER_PORT:-}}" ]; then
  # Jobs that share a node have neighbouring ids; where somebody answers, the ranks of another meet.
  MASTER_PORT={port}
  while (: <> "/dev/tcp/127.0.0.1/$MASTER_PORT") 2> /dev/null; do MASTER_PORT=$((MASTER_PORT + 1)); done
fi
export MASTER_PORT"""

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
        *_together(request),
        # From Slurm 22.05 on srun no longer takes it over from sbatch.
        f"--cpus-per-task={_cpus(request)}",
        # What the ranks need of the script reaches them, whatever --export sbatch was given.
        "--export=ALL",
        *request.slurm.srun_args,
        *_child(request),
    ]
    return _SCRIPT.format(
        directives="\n".join(f"#SBATCH {shlex.quote(each)}" for each in sbatch_options(request, array=array)),
        port=f'export MASTER_PORT="{request.port}"' if request.port else _FREE_PORT.format(port=_PORT),
        run=run,
        setup=render_setup(request.slurm, run=run),
        srun=f'{shlex.join(srun)} "$SPEC"',
        # A signal to a whole step reaches processes that load data, too.
        consequences="|".join([*CONSEQUENCES, "worker-died"]),
        max_restarts=MAX_RESTARTS,
    )


def render_rank(request: RunRequest) -> str:
    """Return the script that each task of a watched run is: where the ranks meet, then the run."""
    ranks = shlex.quote(str(request.run_dir / "ranks"))
    return _RANK.format(
        port=request.port or f"${{MASTER_PORT:-{_PORT}}}",
        ranks=ranks,
        setup=render_setup(request.slurm),
        child=shlex.join(_child(request)),
    )


def srun_options(request: RunRequest) -> list[str]:
    """Return srun's options for a watched run, unquoted; one Ctrl-C is enough to end it.

    Who watches ends it when a rank has failed: Slurm would give the others `KillWait`, and listen to nobody meanwhile.
    """
    options = job_options(request)
    together = _together(request) if request.launcher.is_elastic else ["--kill-on-bad-exit=0"]
    return [*together, "--quit-on-interrupt", *options, *request.slurm.srun_args]


def render_setup(slurm: SlurmOptions, *, run: str = "") -> str:
    """Return the set-up lines, each followed by a look at how it went; `run` is the run's folder in a batch script."""
    if not slurm.setup:
        return ""
    lines = [f"{each}\nset_up $? {shlex.quote(each)}" for each in slurm.setup]
    return _SETUP.format(
        lines="\n".join(lines),
        on_failure='echo "$1" > "$RUN/exit_code"; ' if run else "",
        # A line may have sourced what sets these, and what follows looks at exit codes itself.
        afterwards=f"set +eu\nRUN={run}\n" if run else "",
    )


def _together(request: RunRequest) -> list[str]:
    """Return how tasks end with each other: at once, or by themselves where agents watch over each other.

    An agent that was killed at once could not tell why; one that hangs is ended after a while.
    """
    if request.launcher.is_elastic:
        return ["--kill-on-bad-exit=0", f"--wait={AGENTS_END_S}"]
    return ["--kill-on-bad-exit=1"]


def _cpus(request: RunRequest) -> int:
    """Return the CPUs of one task: a rank, or with `--elastic` all ranks of a node."""
    return request.slurm.cpus_per_task * (request.launcher.num_procs if request.launcher.is_elastic else 1)


def _child(request: RunRequest) -> list[str]:
    module = "mimctl.engine.agent" if request.launcher.is_elastic else "mimctl.engine.child"
    return [*request.slurm.container, str(request.python), "-u", "-P", "-m", module]


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
    _require_writable(found, output)
    return found


def _require_writable(options: list[str], output: str) -> None:
    """Raise UsageError for what a directive or the name of an output file cannot say."""
    broken = next((each for each in options if any(letter in each for letter in "\n\r\0")), None)
    if broken is not None:
        raise UsageError(f"{broken!r} has a line break, which ends what a batch script tells Slurm")
    if "\\" in output:
        raise UsageError(
            f"Slurm writes to no folder with a backslash in its name: `{output}`", hints=["`--work-dir DIR`"]
        )


def job_options(request: RunRequest) -> list[str]:
    """Return what sbatch and srun are told alike: how much, where, for how long, on whose account."""
    facts, slurm = request.launcher, request.slurm
    options = [
        f"--job-name={slurm.job_name}",
        f"--nodes={facts.num_nodes}",
        f"--ntasks-per-node={1 if facts.is_elastic else facts.num_procs}",
        f"--cpus-per-task={_cpus(request)}",
    ]
    typed = [argument_of(each) for each in slurm.sbatch_args]
    if facts.device == "cuda" and not any(_asks_for_gpus(each) for each in typed):
        others = [each.value for each in typed if each.name == "gres" and each.value]
        options.append(f"--gres={','.join([f'gpu:{facts.num_procs}', *others])}")
        typed = [each for each in typed if each.name != "gres"]
    named = {
        "partition": slurm.partition,
        "time": slurm.time,
        "account": slurm.account,
        "qos": slurm.qos,
    }
    options += [f"--{name}={value}" for name, value in named.items() if value]
    return [*options, *(each.word for each in typed)]


def _asks_for_gpus(argument: Argument) -> bool:
    if argument.name == "gres":
        return any(is_gpu(each) for each in (argument.value or "").split(","))
    return argument.name in GPU_NAMES

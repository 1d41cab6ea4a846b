"""Arguments for sbatch and srun as a person typed them: told apart, named, and kept from saying what is said elsewhere.

Names and short forms are those of sbatch(1) and srun(1).
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mimctl.errors import UsageError

_SHORT = {
    "A": "account", "a": "array", "C": "constraint", "c": "cpus-per-task", "D": "chdir", "d": "dependency",
    "e": "error", "G": "gpus", "J": "job-name", "L": "licenses", "M": "clusters", "N": "nodes", "n": "ntasks",
    "o": "output", "p": "partition", "q": "qos", "t": "time", "V": "version", "W": "wait", "w": "nodelist",
    "x": "exclude",
}  # fmt: skip

GPU_NAMES = frozenset({"gres", "gpus", "gpus-per-node", "gpus-per-task", "gpus-per-socket"})
"""What asks for GPUs; one of these takes the place of what follows from `--gpus`."""

_ALLOCATES = GPU_NAMES | frozenset({
    "account", "begin", "comment", "constraint", "deadline", "dependency", "exclude", "exclusive", "job-name",
    "licenses", "mail-type", "mail-user", "mem", "mem-per-cpu", "mem-per-gpu", "nice", "nodelist", "partition",
    "prefer", "priority", "qos", "reservation", "switches", "time", "time-min", "tmp", "wckey",
})  # fmt: skip
"""What srun takes where it is given the nodes itself, as under mim; in a job the nodes are given to sbatch."""

_ONLY_SBATCH = frozenset({"requeue", "no-requeue", "get-user-env", "export-file", "kill-on-invalid-dep"})
_COUNTS = "how many processes run where follows from `--gpus`, `--procs`, `--gpus-per-node` and `--nodes`"
_REFUSED = {
    "nodes": _COUNTS,
    "ntasks": _COUNTS,
    "ntasks-per-node": _COUNTS,
    "cpus-per-task": "say it by `--cpus-per-task`",
    "clusters": "name the cluster for all commands: `export SLURM_CLUSTERS=NAME`",
    "array": "a sweep is an array: `mimctl sweep`",
    "output": "the log lies in the run's folder: `--work-dir DIR`, `mimctl logs`",
    "error": "the log lies in the run's folder: `--work-dir DIR`, `mimctl logs`",
    "wrap": "the script is the run's own",
    "wait": "a run is waited for anyhow; `--detach` does not",
    "parsable": "say it to sbatch yourself, with the script of `--dry-run`",
    "test-only": "say it to sbatch yourself, with the script of `--dry-run`",
    "help": "ask srun or sbatch itself",
    "version": "ask srun or sbatch itself",
}
_STEP_KEEPS = frozenset({"output", "error", "wait"})  # srun has these too, for the ranks alone


_FLAGS = frozenset({
    "contiguous", "exclusive", "get-user-env", "hold", "no-requeue", "overcommit", "oversubscribe", "reboot", "requeue",
    "spread-job", "use-min-nodes", "label", "unbuffered", "kill-on-bad-exit",
    "-H", "-K", "-k", "-l", "-O", "-Q", "-s", "-u", "-v",
})  # fmt: skip
"""What takes no word after it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Argument:
    """One argument: its long name (`-K` where only its short one is known) and its value."""

    name: str
    value: str | None = None

    @property
    def word(self) -> str:
        """Return the one word that says it."""
        if self.name.startswith("-"):
            return self.name + (self.value or "")
        return f"--{self.name}" if self.value is None else f"--{self.name}={self.value}"


def read_arguments(option: str, text: str | None) -> tuple[Argument, ...]:
    """Return what `option` was given, one argument each.

    Raises UsageError for a quote left open, for a word that is no argument (sbatch would take it for the script), and
    for what mimctl says itself.
    """
    found: list[Argument] = []
    for word in split_words(option, text):
        if word.startswith("-") and word not in ("-", "--"):
            found.append(argument_of(word))
        elif found and found[-1].value is None and found[-1].name not in _FLAGS:
            found[-1] = Argument(name=found[-1].name, value=word)
        else:
            raise UsageError(
                f"`{word}` in `{option}` is no argument", hints=["quote a value that has blanks a second time"]
            )
    for each in found:
        if each.name in _REFUSED and not (option == "--srun-args" and each.name in _STEP_KEEPS):
            raise UsageError(f"`{each.word}` in `{option}` is not for you to say", hints=[_REFUSED[each.name]])
    return tuple(found)


def argument_of(word: str) -> Argument:
    """Return the argument that one word says: `--mem=4G`, `--exclusive`, `-pgpu`."""
    if word.startswith("--"):
        name, sign, value = word[2:].partition("=")
        return Argument(name=name, value=value if sign else None)
    return Argument(name=_SHORT.get(word[1:2], word[:2]), value=word[2:].removeprefix("=") or None)


def split_words(option: str, text: str | None) -> tuple[str, ...]:
    """Return the words of a text as a shell reads them; raise UsageError where a quote is left open."""
    try:
        return tuple(shlex.split(text or ""))
    except ValueError as err:
        raise UsageError(f"`{option}` is not quoted as a shell would read it", causes=[str(err)]) from err


def divide(sbatch: Sequence[Argument], srun: Sequence[Argument]) -> tuple[tuple[Argument, ...], tuple[Argument, ...]]:
    """Return what is asked for where the nodes are given, and what is left for the srun that starts the ranks.

    What srun is told of nodes and memory counts for the job where sbatch was not told it, as under mim.
    """
    said = {_subject(each) for each in sbatch}
    moved = [each for each in srun if each.name in _ALLOCATES and _subject(each) not in said]
    return (*sbatch, *moved), tuple(each for each in srun if each not in moved)


def without_sbatchs(arguments: Iterable[Argument]) -> tuple[Argument, ...]:
    """Return the arguments without those that srun does not know: it queues nothing again."""
    return tuple(each for each in arguments if each.name not in _ONLY_SBATCH)


def _subject(argument: Argument) -> str:
    return "gpus" if argument.name in GPU_NAMES else argument.name


def last_of_each(arguments: Iterable[Argument]) -> tuple[Argument, ...]:
    """Return the arguments without those that a later one of the same name takes the place of."""
    kept: dict[str, Argument] = {}
    for each in arguments:
        kept.pop(each.name, None)
        kept[each.name] = each
    return tuple(kept.values())


def value_of(arguments: Sequence[Argument], name: str) -> str | None:
    """Return the value of an argument, None where it was not given."""
    return next((each.value for each in reversed(arguments) if each.name == name), None)

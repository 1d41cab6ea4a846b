"""Scripts of packages that follow mim's convention: which one a word means, and the lines that start it (pure but for
looking into folders)."""

from __future__ import annotations

import ast
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from mimctl.errors import MimctlError, UsageError, did_you_mean, nearest
from mimctl.launch.model import CPUS_PER_TASK, LaunchOptions
from mimctl.launch.plan import MAX_GPUS_PER_NODE, RANK_VARIABLES
from mimctl.plugin.mim import FOLDER, MimPackage
from mimctl.spec import LauncherFacts


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptPlan:
    """Exactly what is started; `environment` is set on top of the caller's, `unset` taken out of it."""

    argv: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    unset: tuple[str, ...] = ()


def script_folders(package: MimPackage) -> list[Path]:
    """Return where a package's scripts are looked for, the first first."""
    inside = [package.root / "tools", package.root / "demo"]
    beside = [package.root.parent / "tools", package.root.parent / "demo"] if package.root.name == FOLDER else []
    folders = [each for pair in zip(inside, beside or inside, strict=True) for each in pair]
    return [each for each in dict.fromkeys(folders) if each.is_dir()]


def list_commands(package: MimPackage) -> list[str]:
    """Return all that `run` can start in a package, sorted: `train`, `analysis_tools:get_flops`."""
    found = {
        ":".join(path.relative_to(folder).with_suffix("").parts)
        for folder in script_folders(package)
        for path in _scripts(folder)
    }
    return sorted(found, key=lambda name: (name.count(":"), name))


def find_script(package: MimPackage, command: str) -> Path:
    """Return the script that `command` means: `NAME`, or `FOLDER:NAME`, without `.py`.

    The first folder (`tools` before `demo`) that has one decides; there, the one nearest to its root. Raises UsageError
    [script-not-found] with the nearest names, [script-ambiguous] where several are equally near.
    """
    wanted = tuple(command.split(":"))
    for folder in script_folders(package):
        fits = [
            path
            for path in _scripts(folder)
            if path.relative_to(folder).with_suffix("").parts[-len(wanted) :] == wanted
        ]
        depth = min((len(path.parts) for path in fits), default=0)
        nearest_to_root = [path for path in fits if len(path.parts) == depth]
        if len(nearest_to_root) == 1:
            return nearest_to_root[0]
        if nearest_to_root:
            names = [":".join(path.relative_to(folder).with_suffix("").parts) for path in nearest_to_root]
            raise UsageError(
                f"`{command}` fits {len(names)} scripts of `{package.name}`",
                code="script-ambiguous",
                causes=names,
                hints=[f"name one of them: `mimctl run {package.name} {names[0]}`"],
            )
    names = list_commands(package)
    near = nearest(wanted[-1], {each.rpartition(":")[2] for each in names})
    raise UsageError(
        f"package `{package.name}` has no script `{command}`",
        code="script-not-found",
        hints=did_you_mean(near) or [f"all scripts: `mimctl run {package.name}`"],
    )


def imports_of(script: Path) -> set[str]:
    """Return the modules (their first names) that a script imports at its start, without the standard library."""
    try:
        body = ast.parse(script.read_text(encoding="utf-8")).body
    except (OSError, SyntaxError, ValueError):
        return set()
    names: set[str] = set()
    for each in body:
        if isinstance(each, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in each.names}
        elif isinstance(each, ast.ImportFrom) and each.level == 0 and each.module:
            names.add(each.module.partition(".")[0])
    return names - set(sys.stdlib_module_names)


def plan_run(python: Path, script: Path, arguments: Sequence[str]) -> ScriptPlan:
    """Return what starts a script with its arguments as typed."""
    return ScriptPlan(argv=(str(python), str(script), *arguments))


def plan_launch(
    python: Path,
    script: Path,
    arguments: Sequence[str],
    *,
    verb: str,
    config: Path,
    facts: LauncherFacts,
    launch: LaunchOptions,
    port: int,
) -> ScriptPlan:
    """Return what starts `train.py` or `test.py`, in the lines that mim uses; `arguments` begin with the config.

    For `slurm` `facts` counts the GPUs of a node and the nodes.
    """
    line = (str(script), *arguments[:1])
    rest = ("--launcher", facts.kind, *arguments[1:])
    if verb == "test" and len(arguments) > 1 and not arguments[1].startswith("-"):
        line, rest = (*line, arguments[1]), ("--launcher", facts.kind, *arguments[2:])
    environment = {"CUDA_VISIBLE_DEVICES": ""} if facts.device == "cpu" and facts.kind != "slurm" else {}
    if facts.kind == "none":
        return ScriptPlan(argv=(str(python), *line, *rest), environment=environment, unset=RANK_VARIABLES)
    environment["MASTER_PORT"] = str(port)
    unset = tuple(name for name in RANK_VARIABLES if name != "MASTER_PORT")
    if facts.kind == "pytorch":
        # Without -P a file `torch.py` in the current folder would be started instead.
        agent = ("-P", "-m", "torch.distributed.launch", f"--nproc_per_node={facts.num_procs}", f"--master_port={port}")
        return ScriptPlan(argv=(str(python), *agent, *line, *rest), environment=environment, unset=unset)
    srun = _srun(verb, config, facts, launch)
    return ScriptPlan(argv=(*srun, str(python), "-u", *line, *rest), environment=environment, unset=unset)


def slurm_facts(launch: LaunchOptions) -> LauncherFacts:
    """Return how many processes run where under Slurm: one GPU each, one on the CPU with `--gpus 0`."""
    gpus = 1 if launch.gpus is None and not launch.procs else launch.gpus or 0
    total = gpus or launch.procs or 1
    per_node = launch.gpus_per_node or min(total, MAX_GPUS_PER_NODE)
    if total % per_node:
        raise UsageError(f"`--gpus {total}` does not divide into nodes of `--gpus-per-node {per_node}`")
    device: Literal["cpu", "cuda"] = "cuda" if gpus else "cpu"
    return LauncherFacts(kind="slurm", device=device, num_procs=per_node, num_nodes=total // per_node)


def _srun(verb: str, config: Path, facts: LauncherFacts, launch: LaunchOptions) -> tuple[str, ...]:
    typed = shlex.split(launch.srun_args or "")
    is_named = any(each == "-J" or each.startswith(("-J", "--job-name")) for each in typed)
    return (
        "srun",
        *(("-p", launch.partition) if launch.partition else ()),
        *((f"--gres=gpu:{facts.num_procs}",) if facts.device == "cuda" else ()),
        f"--ntasks={facts.num_procs * facts.num_nodes}",
        f"--ntasks-per-node={facts.num_procs}",
        f"--cpus-per-task={launch.cpus_per_task or CPUS_PER_TASK}",
        "--kill-on-bad-exit=1",
        *typed,
        *(() if is_named else (f"--job-name={config.stem}_{verb}",)),
    )


def _scripts(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*.py")):
        if path.name != "__init__.py" and path.is_file():
            yield path


def no_such_verb(package: MimPackage, verb: str) -> MimctlError:
    """Return the error for a package that has no script of a verb's name."""
    commands = [each for each in list_commands(package) if ":" not in each]
    return MimctlError(
        f"package `{package.name}` does not offer `{verb}`",
        code="verb-not-offered",
        causes=[f"it has no `tools/{verb}.py`; its scripts: {', '.join(commands) or 'none'}"],
        hints=[f"all of them: `mimctl run {package.name}`"],
    )

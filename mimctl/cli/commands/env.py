"""`mimctl env`: what is on this machine, each fact with its source."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import click

from mimctl import api
from mimctl.cli.options import Context, verb
from mimctl.cli.result import Result, table
from mimctl.errors import UsageError

if TYPE_CHECKING:
    from mimctl.environment.installed import Fact, Ops, Torch
    from mimctl.environment.model import Accelerator, Gpu, Rocm, Toolkit


@verb(
    "env",
    examples=[
        "mimctl env",
        "mimctl env --json",
        "mimctl env --python /opt/conda/bin/python",
        "mimctl env --partition gpu --wait 600",
    ],
    target=True,
    uses=("python",),
)
@click.option(
    "-p", "--partition", metavar="NAME", help="Look at a node of this partition, through Slurm, and keep that."
)
@click.option(
    "--wait",
    type=click.IntRange(min=1),
    metavar="SECONDS",
    help="How long a node may take to be free.  [default: 60]",
)
@click.option("--account", metavar="NAME", help="Account that the look is charged to.")
@click.option("--qos", metavar="NAME", help="Quality of service of the look.")
@click.option("--srun-args", metavar="ARGS", help="More arguments for srun, quoted as one.")
def env(context: Context, *, partition: str | None, **options: Any) -> Result:
    """Show what is on this machine: Python, torch, driver, GPUs, toolkits, ops, indexes, each with its source.

    Nothing is imported, and nothing is fetched. With --partition, what is on a node of a cluster: runs and `install
    --for` go by that.
    """
    if partition is not None:
        from mimctl.cli.node_facts import show_node

        return show_node(context, partition, **options)
    given = next((name for name, value in options.items() if value is not None), None)
    if given is not None:
        raise UsageError(f"`--{given.replace('_', '-')}` goes with `--partition`")
    from mimctl.environment.plain import facts_of, to_plain

    found = api.env(settings=context.settings)
    rows = [("target", str(found.target.python), found.target.source), *fact_rows(facts_of(found))]
    return Result(
        data=to_plain(found),
        lines=table(rows, head=("fact", "value", "source")),
        quiet=[f"{name} {value}" for name, value, _ in rows],
    )


def fact_rows(facts: Mapping[str, Fact[Any]]) -> list[tuple[str, str, str]]:
    """Return facts as rows: name, value in words, source."""
    return [row for name, fact in facts.items() for row in _rows(name, fact)]


def _rows(name: str, fact: Fact[Any]) -> list[tuple[str, str, str]]:
    if name != "indexes" or not fact.value:
        return [(name, _text(fact.value), fact.source)]
    return [(name, f"{each.tool}: {each.key} {each.value}", each.source) for each in fact.value]


def _text(value: object) -> str:
    if value is None or value == ():
        return "none"
    if isinstance(value, tuple):
        return ", ".join(_text(each) for each in value)
    words = _WORDS.get(type(value).__name__)
    return words(value) if words else str(value)


def _tags_text(tags: Mapping[str, Any]) -> str:
    platforms = tags["platforms"]
    return f"{tags['python']}-{tags['abi']}-{platforms[0]} and older, {len(platforms)} platforms"


def _torch_text(torch: Torch) -> str:
    build = f"CUDA {torch.cuda}" if torch.cuda else f"ROCm {torch.hip}" if torch.hip else "XPU" if torch.xpu else "CPU"
    abi = {True: ", C++11 ABI", False: ", old C++ ABI", None: ""}[torch.cxx11_abi]
    return f"{torch.version} ({build}{abi})"


def _accelerator_text(accelerator: Accelerator) -> str:
    return f"{accelerator.kind} (driver {accelerator.driver})" if accelerator.driver else accelerator.kind


def _gpu_text(gpu: Gpu) -> str:
    words = [f"compute {gpu.capability}"] if gpu.capability else ["compute unknown"]
    words += [f"{gpu.memory_mib} MiB"] if gpu.memory_mib else []
    words += [] if gpu.is_visible else ["hidden"]
    return f"{gpu.name} ({', '.join(words)})"


def _toolkit_text(toolkit: Toolkit) -> str:
    return f"{toolkit.version or 'unknown version'} ({toolkit.path})"


def _rocm_text(rocm: Rocm) -> str:
    place = f"{rocm.version or 'unknown version'} ({rocm.path})" if rocm.path else "not installed"
    return place + (f", {', '.join(rocm.archs)}" if rocm.archs else "")


def _ops_text(ops: Ops) -> str:
    words = [f"{ops.backend} build" if ops.backend else "an unreadable build"]
    words += [f"CUDA {ops.toolkit}"] if ops.toolkit else []
    words += [f"torch >= {ops.min_torch}"] if ops.min_torch else []
    words += ["no compiled library"] if ops.library is None else []
    words += [f"MIMCTL_OPS={ops.asked}"] if ops.asked else []
    return f"{ops.version or 'without a distribution'} ({', '.join(words)})"


_WORDS: Mapping[str, Callable[[Any], str]] = {
    "dict": _tags_text,
    "Torch": _torch_text,
    "Accelerator": _accelerator_text,
    "Gpu": _gpu_text,
    "Toolkit": _toolkit_text,
    "Rocm": _rocm_text,
    "Ops": _ops_text,
}


COMMANDS = {"env": env}

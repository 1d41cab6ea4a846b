"""`mimctl env`: what is on this machine, each fact with its source."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from mimctl import api
from mimctl.cli.options import Context, verb
from mimctl.cli.result import Result, table

if TYPE_CHECKING:
    from mimctl.environment.installed import Fact, Ops, Torch
    from mimctl.environment.model import Accelerator, Gpu, Rocm, Toolkit


@verb(
    "env",
    examples=["mimctl env", "mimctl env --json", "mimctl env --python /opt/conda/bin/python"],
    target=True,
    uses=("python",),
)
def env(context: Context) -> Result:
    """Show what is on this machine: Python, torch, driver, GPUs, toolkits, ops, indexes, each with its source.

    Nothing is imported, and nothing is fetched.
    """
    from mimctl.environment.plain import facts_of, to_plain

    found = api.env(settings=context.settings)
    rows = [("target", str(found.target.python), found.target.source)]
    rows += [row for name, fact in facts_of(found).items() for row in _rows(name, fact)]
    return Result(
        data=to_plain(found),
        lines=table(rows, head=("fact", "value", "source")),
        quiet=[f"{name} {value}" for name, value, _ in rows],
    )


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

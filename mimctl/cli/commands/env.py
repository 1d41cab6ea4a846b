"""`mimctl env`: what is on this machine, each fact with its source."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mimctl import api
from mimctl.cli.options import Context, verb
from mimctl.cli.result import Result, table

if TYPE_CHECKING:
    from mimctl.environment.model import Environment, Ops

_FACTS = (
    "python",
    "abi",
    "platform",
    "libc",
    "torch",
    "accelerator",
    "gpus",
    "ops",
    "ops_tier",
    "cv2",
    "slurm",
    "pip",
    "uv",
)


@verb(
    "env",
    examples=["mimctl env", "mimctl env --json", "mimctl env --python /opt/conda/bin/python"],
    target=True,
    uses=("python",),
)
def env(context: Context) -> Result:
    """Show what is on this machine: Python, torch, driver, GPUs and ops, each with its source; nothing is imported."""
    facts = api.env(settings=context.settings)
    rows = [("target", str(facts.target.python), facts.target.source)]
    rows += [(name, _text(getattr(facts, name).value), getattr(facts, name).source) for name in _FACTS]
    return Result(
        data={"target": _plain(facts.target), "facts": _data(facts)},
        lines=table(rows, head=("fact", "value", "source")),
        quiet=[f"{name} {value}" for name, value, _ in rows],
    )


def _data(facts: Environment) -> dict[str, object]:
    return {
        name: {"value": _plain(getattr(facts, name).value), "source": getattr(facts, name).source} for name in _FACTS
    }


def _text(value: object) -> str:
    from mimctl.environment.model import Accelerator, Gpu, Ops, Torch

    if value is None or value == ():
        return "none"
    if isinstance(value, tuple):
        return ", ".join(_text(each) for each in value)
    if isinstance(value, Torch):
        return value.version
    if isinstance(value, Ops):
        return _ops_text(value)
    if isinstance(value, Accelerator):
        return f"{value.kind} (driver {value.driver})" if value.driver else value.kind
    if isinstance(value, Gpu):
        memory = f", {value.memory_mib} MiB" if value.memory_mib else ""
        return f"{value.name} (compute {value.capability}{memory})"
    return str(value)


def _ops_text(ops: Ops) -> str:
    words = [f"{ops.backend} build" if ops.backend else "an unreadable build"]
    words += [f"CUDA {ops.toolkit}"] if ops.toolkit else []
    words += [f"torch >= {ops.min_torch}"] if ops.min_torch else []
    words += ["no compiled library"] if ops.library is None else []
    words += [f"MIMCTL_OPS={ops.asked}"] if ops.asked else []
    return f"{ops.version or 'without a distribution'} ({', '.join(words)})"


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return {item.name: _plain(getattr(value, item.name)) for item in fields(value)}
    if isinstance(value, tuple | list):
        return [_plain(each) for each in value]
    return str(value) if isinstance(value, Path) else value


COMMANDS = {"env": env}

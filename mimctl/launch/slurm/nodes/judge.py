"""Hold an environment against what was seen of a node: what cannot work there, why, and what to type (pure)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from mimctl.environment.elsewhere import Elsewhere
from mimctl.environment.installed import Torch
from mimctl.environment.model import Environment
from mimctl.environment.platforms import platform_tags
from mimctl.errors import NoCompatibleBuildError
from mimctl.selection.cuda import MIN_DRIVERS, is_at_least, relevant_gpus
from mimctl.selection.installed import why_unfit
from mimctl.selection.torch_build import why_no_code

_DRIVERS = {"cuda": "an NVIDIA driver", "rocm": "ROCm", "xpu": "an Intel GPU", "mps": "Metal"}
_FROM_WHEELS = ("pip", "uv", "poetry")


def judge(
    env: Environment, node: Elsewhere, *, partition: str, gpus: int, tags: Mapping[str, Sequence[str]]
) -> NoCompatibleBuildError | None:
    """Return why a run on `gpus` GPUs in all cannot work on such a node, None where nothing speaks against it.

    `env` has the torch and the operators of the environment and the hardware of the node; `tags` are those of the
    wheels that hold machine code, by `name version`.
    """
    kinds = list(_other_kinds(node, tags))
    torch = env.torch.value
    wrong_torch = _why_not_torch(env, torch, gpus) if gpus and torch is not None else None
    wrong_ops = None
    if gpus and wrong_torch is None and env.ops.value is not None and env.ops.value.asked != "python":
        wrong_ops = why_unfit(env)
    ops = f"mimctl-ops {env.ops.value.version}: {wrong_ops}" if env.ops.value and wrong_ops else None
    causes = [each for each in (*kinds, wrong_torch, ops) if each is not None]
    if not causes:
        return None
    return NoCompatibleBuildError(
        f"this environment cannot work on partition `{partition}`",
        code="unfit-partition",
        causes=[*causes, f"its nodes: {node.platform}, {_computes_on(node)} ({node.seen})"],
        hints=[
            *_ways(partition, is_ops_alone=ops is not None and not kinds),
            *(["or compute on the CPU: `--gpus 0`"] if not kinds else []),
            f"where that has changed, look again: `mimctl env --partition {partition}`",
        ],
        details={"partition": partition, "node": node.node, "looked": node.looked},
    )


def _ways(partition: str, *, is_ops_alone: bool) -> list[str]:
    if is_ops_alone:
        return [
            f"take the operators that suit: `mimctl install mimctl-ops --for {partition}`",
            "or compute them in pure PyTorch, more slowly: `export MIMCTL_OPS=python`",
        ]
    return [
        f"make an environment for it: `python3 -m venv DIR`, then `mimctl install det --for {partition} --python DIR`"
    ]


def _other_kinds(node: Elsewhere, tags: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """Yield the wheels that were built for another kind of machine than the node is."""
    taken = {*platform_tags(node.platform, node.libc), "any"}
    for name, each in tags.items():
        platforms = sorted({tag.rpartition("-")[2] for tag in each})
        if platforms and not taken.intersection(platforms):
            libc = f" ({node.libc})" if node.libc else ""
            yield f"{name} is a wheel for {', '.join(platforms)}, the nodes are {node.platform}{libc}"


def _why_not_torch(env: Environment, torch: Torch, gpus: int) -> str | None:
    found = env.accelerator.value
    if torch.backend == "cpu":
        return f"torch {torch.version} computes on the CPU alone, {_count(gpus)} asked for"
    if found.kind != torch.backend:
        return f"torch {torch.version} needs {_DRIVERS[torch.backend]}, and none was found there"
    floor = MIN_DRIVERS.get(torch.cuda_major or 0)
    if found.driver and floor and not is_at_least(found.driver, floor):
        return f"torch {torch.version} (CUDA {torch.cuda}) needs NVIDIA driver >= {floor}, there it is {found.driver}"
    origin = env.torch_origin.value or ""
    return why_no_code(torch, relevant_gpus(env)) if origin.startswith(_FROM_WHEELS) else None


def _computes_on(node: Elsewhere) -> str:
    found = node.accelerator
    if found.kind == "none":
        return "no GPU driver"
    driver = f"{_DRIVERS[found.kind]} {found.driver or ''}".strip()
    return ", ".join([driver, *sorted({gpu.name for gpu in node.gpus})])


def _count(gpus: int) -> str:
    return "1 GPU is" if gpus == 1 else f"{gpus} GPUs are"

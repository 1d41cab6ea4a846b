"""The checks on torch: that it is one, the one it was, that it suits the machine and the wheels of the index."""

from __future__ import annotations

from dataclasses import replace

from mimctl.checkup.commands import installer_call
from mimctl.checkup.glance import OPS
from mimctl.checkup.model import Check, Facts, Fix
from mimctl.environment.installed import Fact, Torch, release_of
from mimctl.environment.model import Environment
from mimctl.errors import MimctlError
from mimctl.selection.choose import newer_than_verified, public_version
from mimctl.selection.cuda import MIN_DRIVERS
from mimctl.selection.torch_build import TorchBuild, choose_torch
from mimctl.transfer import redact


def torch_there(facts: Facts) -> Check:
    """There is one torch, and its files say which."""
    env = facts.env
    torch, recorded = env.torch.value, env.distributions.get("torch")
    if torch is None and recorded is not None:
        return Check(
            name="torch",
            status="fail",
            summary=f"torch {recorded.version} is installed and cannot be read",
            code="torch-unreadable",
            causes=(env.torch.source, f"{recorded.path} says it is there"),
            hints=(f"install it again: {_torch_again(facts, recorded.version)}",),
        )
    if torch is None:
        needs_it = [name for name in env.distributions if name.startswith("mimctl-")]
        return Check(
            name="torch",
            status="fail" if needs_it else "warn",
            summary="torch is not installed",
            code="torch-missing",
            causes=(f"{', '.join(sorted(needs_it))} need it",) if needs_it else (env.torch.source,),
            hints=("a toolbox brings the build for this machine: `mimctl install det`",),
        )
    if recorded is not None and not _is_same_version(recorded.version, torch.version):
        return Check(
            name="torch",
            status="fail",
            summary=f"torch says it is {torch.version}, {recorded.version} was installed",
            code="torch-unreadable",
            causes=(f"{env.torch.source} and {recorded.path} differ: files of two versions may be mixed",),
            hints=(f"install one anew: {_torch_again(facts, recorded.version)}",),
        )
    return Check(name="torch", status="ok", summary=f"{torch.version}, {torch.path}")


def torch_replaced(facts: Facts) -> Check | None:
    """torch is the one that was there when mimctl last installed something."""
    if facts.torch_since is None:
        return None
    return Check(
        name="torch-replaced",
        status="warn",
        summary="torch was replaced since mimctl's last installation",
        code="torch-replaced",
        causes=(facts.torch_since,),
        hints=("take the operators that suit it, and note that it is meant: `mimctl doctor --fix`",),
        fix=Fix(install=(OPS,)) if OPS in facts.env.distributions else Fix(),
    )


def _is_same_version(recorded: str, said: str) -> bool:
    """Return whether two versions agree; a label that only one of them has is no difference."""
    return recorded == said or (
        public_version(recorded) == public_version(said) and not ("+" in recorded and "+" in said)
    )


def accelerator(facts: Facts) -> Check | None:
    """The build of torch is one that this machine's driver can run, and uses the GPU that is there."""
    env = facts.env
    torch, found = env.torch.value, env.accelerator.value
    if torch is None:
        return None
    if torch.backend == "cpu":
        if found.kind in _OTHER_MAKERS:
            return _idle_gpu_of_another_maker(env, torch)
        return _idle_gpu(facts, torch) if found.kind == "cuda" else _agree(torch, env)
    wanted = _OTHER_MAKERS.get(torch.backend, ("NVIDIA driver", ""))[0]
    if found.kind != torch.backend:
        return Check(
            name="driver",
            status="warn",
            summary=f"torch {torch.version} computes on a GPU, and no {wanted} was found",
            code="no-driver",
            causes=(env.accelerator.source,),
            hints=(
                "usual on a login node; what its nodes have: `mimctl env --partition P`",
                "elsewhere it computes on the CPU",
            ),
        )
    floor = MIN_DRIVERS.get(torch.cuda_major or 0)
    if found.driver and floor and release_of(found.driver) < release_of(floor):
        return Check(
            name="driver",
            status="fail",
            summary=f"NVIDIA driver {found.driver} is too old for torch {torch.version}",
            code="driver-too-old",
            causes=(f"CUDA {torch.cuda} needs NVIDIA driver >= {floor}", f"found in {env.accelerator.source}"),
            hints=("update the driver", *_other_torch(facts, torch)),
        )
    return _agree(torch, env)


def _agree(torch: Torch, env: Environment) -> Check:
    found = env.accelerator.value
    has = f"{'NVIDIA driver' if found.kind == 'cuda' else found.kind} {found.driver or ''}".strip()
    build = f"CUDA {torch.cuda}" if torch.cuda else f"ROCm {torch.hip}" if torch.hip else "the CPU"
    build = "XPU" if torch.backend == "xpu" else build
    gpus = f", {len(env.gpus.value)} GPUs" if len(env.gpus.value) > 1 else ""
    return Check(
        name="driver",
        status="ok",
        summary=f"torch is built for {build}; {'no GPU driver' if found.kind == 'none' else has + gpus}",
    )


_OTHER_MAKERS = {"rocm": ("ROCm", "AMD"), "xpu": ("Intel GPU", "Intel")}


def _idle_gpu_of_another_maker(env: Environment, torch: Torch) -> Check:
    found = env.accelerator.value
    name = "ROCm" if found.kind == "rocm" else "XPU"
    return Check(
        name="driver",
        status="warn",
        summary=f"torch {torch.version} computes on the CPU only, and this machine has a GPU",
        code="idle-gpu",
        causes=(f"a GPU of {_OTHER_MAKERS[found.kind][1]}'s ({env.accelerator.source})",),
        hints=(f"install torch's {name} build as its own site describes; mimctl chooses none for it",),
    )


def _idle_gpu(facts: Facts, torch: Torch) -> Check:
    env = facts.env
    hints = _other_torch(facts, torch)
    if not hints:  # too old for any build that torch offers
        return _agree(torch, env)
    return Check(
        name="driver",
        status="warn",
        summary=f"torch {torch.version} computes on the CPU only, and this machine has a GPU",
        code="idle-gpu",
        causes=(f"NVIDIA driver {env.accelerator.value.driver} ({env.accelerator.source})",),
        hints=hints,
    )


def _other_torch(facts: Facts, torch: Torch) -> tuple[str, ...]:
    """Return how to get the build of the same torch that suits this machine; mimctl itself never replaces torch."""
    build = _usual_build(facts.env, public_version(torch.version))
    if build is None or build.tag in (None, "cpu", torch.label):
        return ()
    return (
        f"take the build for this machine: {_torch_again(facts, build.full_version)}",
        "then the operators that go with it: `mimctl install mimctl-ops`",
    )


def _usual_build(env: Environment, version: str) -> TorchBuild | None:
    without = replace(env, torch=Fact(value=None, source=env.torch.source))
    try:
        return choose_torch(without, "auto", verified=version)
    except MimctlError:
        return None


def torch_verified(facts: Facts) -> Check | None:
    """The torch is one that the index's wheels were verified with, or older."""
    torch, verified = facts.env.torch.value, facts.index.torch_verified if facts.index else None
    if torch is None or verified is None:
        return None
    warning = newer_than_verified(facts.env, verified)
    if warning is None:
        return Check(name="verified", status="ok", summary=f"the index was verified with torch up to {verified}")
    return Check(
        name="verified",
        status="warn",
        summary=warning,
        code="torch-not-verified",
        causes=("it is likely to work: compiled operators use an ABI that later versions of torch keep",),
        hints=("try it: `mimctl infer` on a few images, or take a newer mimctl when there is one",),
    )


def _torch_again(facts: Facts, version: str) -> str:
    """Return how to install one version of torch anew; a labelled one stands in torch's own index."""
    label = version.partition("+")[2]
    index = f" --index-url {redact(facts.torch_index.rstrip('/'))}/{label}" if label else ""
    return f"`{installer_call(facts.env, 'install')} --force-reinstall{index} torch=={version}`"

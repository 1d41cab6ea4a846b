"""Which build of torch suits a machine that has none, by its driver and GPUs; not where it comes from."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from mimctl.environment.installed import Torch, release_of
from mimctl.environment.model import Environment, Gpu
from mimctl.errors import NoCompatibleBuildError, UsageError
from mimctl.selection.cuda import MIN_DRIVERS, TEGRA, is_at_least, relevant_gpus

MIN_TORCH = "2.6"
"""The oldest torch that the engine works with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TorchBuild:
    """A build of torch; `tag` is its local label and folder in torch's wheel index (`cpu`, `cu130`), None: plain."""

    version: str
    tag: str | None
    reason: str

    @property
    def full_version(self) -> str:
        """Return the version with its label: `2.13.0+cpu`."""
        return self.version + (f"+{self.tag}" if self.tag else "")

    @property
    def cuda(self) -> str | None:
        """Return the CUDA toolkit of the build: `13.0` for `cu130`."""
        digits = (self.tag or "").removeprefix("cu")
        return f"{digits[:-1]}.{digits[-1]}" if digits.isdigit() else None

    @property
    def hip(self) -> str | None:
        """Return the ROCm version of the build."""
        return self.tag.removeprefix("rocm") if self.tag and self.tag.startswith("rocm") else None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Toolkit:
    """A CUDA build of torch: the driver it needs, and the compute capabilities it has code for."""

    tag: str
    min_driver: str
    capabilities: tuple[tuple[int, int], tuple[int, int]]


# Capabilities: PyTorch's build scripts.
_TOOLKITS = (
    _Toolkit(tag="cu130", min_driver=MIN_DRIVERS[13], capabilities=((7, 5), (12, 99))),
    _Toolkit(tag="cu126", min_driver=MIN_DRIVERS[12], capabilities=((5, 0), (9, 99))),
)


PLAIN_TAG = "cu130"
"""What the wheel without label is on the public package index, for Linux from torch 2.11 on."""
_PLAIN_SINCE = (2, 11)


# CUDA versions from the one named on → capabilities that torch's own wheels have code for, of whatever torch; where
# versions of torch differ, what any of them has. (PyTorch's build scripts: CUDA 12.8 dropped 5.0 and 6.0, 13 7.0.)
_CODE = (
    ((13, 0), (7, 5), (12, 99)),
    ((12, 8), (7, 0), (12, 99)),
    ((0, 0), (3, 5), (9, 99)),
)


def why_no_code(torch: Torch, gpus: Iterable[Gpu]) -> str | None:
    """Return why a build of torch cannot compute on one of the GPUs ("no kernel image"), None where it can.

    Known of the wheels that PyTorch publishes alone, told by their versions; GPUs of unknown capability pass.
    """
    if torch.cuda is None or not _is_published(torch):
        return None
    toolkit = release_of(torch.cuda)[:2]
    least, most = next((least, most) for since, least, most in _CODE if toolkit >= since)
    for gpu in gpus:
        capability = release_of(gpu.capability)[:2]
        if len(capability) == 2 and not least <= capability <= most:
            shown = f"compute capability {gpu.capability} ({gpu.name})"
            has = f"{least[0]}.{least[1]} to {most[0]}.x"
            return f"torch {torch.version} has no code for {shown}; builds for CUDA {torch.cuda} have it for {has}"
    return None


def _is_published(torch: Torch) -> bool:
    """Return whether the version is one that PyTorch publishes: builds from source have others, with code for more."""
    return re.fullmatch(r"\d+\.\d+\.\d+(\+cu\d{3})?", torch.version) is not None


def is_plain(version: str, tag: str | None, env: Environment) -> bool:
    """Return whether the wheel that the public index has of `version` is the build `tag`."""
    return tag == PLAIN_TAG and release_of(version) >= _PLAIN_SINCE and env.platform.value.system == "linux"


def choose_torch(env: Environment, wish: str, *, verified: str) -> TorchBuild | None:
    """Return the build of torch to install where there is none, None for the wish `none`.

    `wish` is `auto`, `none`, a build (`cpu`, `cu130`), a version (`2.12.0`) or both (`2.12.0+cu126`); `verified` is the
    newest version that the wheels matrix verifies. Raises UsageError for another word, NoCompatibleBuildError
    [no-torch-build] for `auto` on ROCm, on a card of Intel's, and on platforms that torch has no builds for.
    """
    if wish == "none":
        return None
    version, tag = _parse(wish)
    if version is not None and release_of(version) < release_of(MIN_TORCH):
        raise UsageError(
            f"torch {version} is too old",
            code="torch-too-old",
            causes=[f"the engine needs torch >= {MIN_TORCH}"],
            hints=[f"leave the choice to mimctl (torch {verified}): `--torch auto`"],
        )
    version = version or verified
    if tag is not None:
        return TorchBuild(version=version, tag=tag, reason=f"`--torch {wish}`")
    tag, reason = _by_machine(env)
    return TorchBuild(version=version, tag=tag, reason=reason)


def _parse(wish: str) -> tuple[str | None, str | None]:
    if wish == "auto":
        return None, None
    if re.fullmatch(r"cpu|cu\d{3}|rocm\d+(\.\d+)*|xpu", wish):
        return None, wish
    match = re.fullmatch(r"(\d+(?:\.\d+)+(?:(?:a|b|rc)\d+)?)(?:\+([a-z]+[\d.]*))?", wish)
    if match is None:
        raise UsageError(
            f"`--torch {wish}` is not understood",
            causes=["it takes `auto`, `none`, a build (`cpu`, `cu130`), a version (`2.12.0`) or both (`2.12.0+cu126`)"],
        )
    return match[1], match[2]


def _by_machine(env: Environment) -> tuple[str | None, str]:
    platform, accelerator = env.platform.value, env.accelerator.value
    nothing = _why_no_builds(env)
    if nothing is not None:
        raise NoCompatibleBuildError(
            f"torch has no builds for {platform}" + (f" ({env.libc.value.family})" if env.libc.value else ""),
            code="no-torch-build",
            causes=[nothing],
            hints=["where you have a torch of your own, install it, then repeat the command"],
        )
    if platform.system == "darwin":
        return None, "macOS has one build"
    if accelerator.kind in _CHOSEN_BY_HAND:
        name = _CHOSEN_BY_HAND[accelerator.kind]
        raise NoCompatibleBuildError(
            f"no build of torch is chosen by itself on {name}",
            code="no-torch-build",
            causes=[f"{name} {accelerator.driver or ''} was found ({env.accelerator.source})".replace("  ", " ")],
            hints=[f"install torch's {name} build, then repeat the command", "or compute on the CPU: `--torch cpu`"],
        )
    if accelerator.kind != "cuda" or accelerator.driver is None:
        return "cpu", "no NVIDIA driver was found"
    reasons = []
    for each in _TOOLKITS:
        why = _why_unfit(each, accelerator.driver, env)
        if why is None:
            return each.tag, f"NVIDIA driver {accelerator.driver} >= {each.min_driver}"
        reasons.append(f"{each.tag} {why}")
    return "cpu", f"NVIDIA driver {accelerator.driver}: " + ", ".join(reasons)


_CHOSEN_BY_HAND = {"rocm": "ROCm", "xpu": "XPU"}
_MACHINES = {"linux": ("x86_64", "aarch64", "s390x"), "darwin": ("arm64",), "win32": ("amd64", "arm64")}


def _why_no_builds(env: Environment) -> str | None:
    """Return why torch has no builds for a platform at all, None where it has some."""
    platform, libc = env.platform.value, env.libc.value
    if libc is not None and libc.family == "musl":
        return "its wheels need glibc, which Alpine and its like do not have"
    if platform.machine.lower() in _MACHINES.get(platform.system, ()):
        return None
    if platform.system == "darwin":
        return "the last for Macs with Intel's processors was 2.2"
    return f"it has them for {', '.join(f'{system} {each}' for system, names in _MACHINES.items() for each in names)}"


def _why_unfit(toolkit: _Toolkit, driver: str, env: Environment) -> str | None:
    least, most = toolkit.capabilities
    if not is_at_least(driver, toolkit.min_driver):
        return f"needs driver >= {toolkit.min_driver}"
    for gpu in relevant_gpus(env):
        capability = (*release_of(gpu.capability), 0)[:2]
        if not least <= capability <= most or capability in TEGRA:
            return "has no code for these GPUs"
    return None

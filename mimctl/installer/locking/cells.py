"""Environments in words, as a lock file names them: `linux-x86_64-cu13` with Python 3.11 (pure)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal

from mimctl.environment.imagined import imagine
from mimctl.environment.installed import release_of
from mimctl.environment.model import Accelerator, Environment, Gpu, Libc, Platform
from mimctl.errors import UsageError
from mimctl.selection.cuda import MIN_DRIVERS

System = Literal["linux", "darwin"]

USUAL_GLIBC = (2, 28)
"""What torch's own wheels for Linux need."""
_SYSTEMS: dict[str, System] = {"linux": "linux", "macos": "darwin"}
_WORDS: dict[str, str] = {system: word for word, system in _SYSTEMS.items()}
_ACCELERATOR = re.compile(r"cpu|mps|cu\d{2,3}|rocm\d*(?:\.\d+)*")
_PYTHON = re.compile(r"3\.\d+(?:\.\d+)?")
_EXAMPLE = "for example `linux-x86_64-cu13`, `linux-aarch64-cpu`, `macos-arm64-mps`, `linux-x86_64-cu12-glibc2.31`"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One environment that a lock file covers."""

    words: str
    """`linux-x86_64-cu13-glibc2.28`: system, machine, accelerator, and what is to be known besides."""
    python: str
    """`3.11`, or a full version."""
    environment: Environment = field(compare=False, repr=False)

    @property
    def platform(self) -> Platform:
        """Return system and machine."""
        return self.environment.platform.value

    @property
    def minor(self) -> str:
        """Return Python's version as markers have it: `3.11`."""
        return ".".join(self.python.split(".")[:2])

    @property
    def accelerator(self) -> str:
        """Return the accelerator's word: `cu13`."""
        return self.words.split("-")[2]

    @property
    def group(self) -> str:
        """Return what markers cannot say of it, as the name of a dependency group: `cu13`, `cu13-glibc2-31`."""
        return re.sub(r"[-_.]+", "-", "-".join(self.words.split("-")[2:])).lower()

    @property
    def torch_tag(self) -> str:
        """Return the word that asks for a build of torch for it: `auto` by driver, or a whole tag (`cu126`)."""
        word = self.accelerator
        return word if re.fullmatch(r"cpu|cu\d{3}|rocm\d.*", word) else "auto"

    def __str__(self) -> str:
        return f"{self.words}, Python {self.python}"


def cell_for(words: str, python: str) -> Cell:
    """Return the environment that `words` and a version of Python name; nothing is installed in it.

    `SYSTEM-MACHINE-ACCELERATOR`, then perhaps `glibc2.31` or `musl1.2`, `driver550.54` (NVIDIA), `sm8.6` (a compute
    capability, repeatable), `macos14.0`. Where they are not said: glibc 2.28, the oldest driver of that CUDA, any GPU.
    `3.11` means its first release, so that requirements on old patch releases are locked too. Raises UsageError.
    """
    parts = words.split("-")
    if not _PYTHON.fullmatch(python) or release_of(python) < (3, 11):
        raise UsageError(
            f"`--python {python}` is not understood",
            causes=["mimctl works with Python 3.11 and newer; a lock names versions: `--python 3.11 --python 3.12`"],
        )
    if len(parts) < 3 or parts[0] not in _SYSTEMS or not _ACCELERATOR.fullmatch(parts[2]):
        raise _not_understood(words)
    system, machine, accelerator = _SYSTEMS[parts[0]], parts[1], parts[2]
    facts = _Facts(libc=Libc(family="glibc", version=USUAL_GLIBC) if system == "linux" else None)
    for part in parts[3:]:
        facts = _take(facts, part, words)
    release = facts.macos or (11, 0)
    return Cell(
        words=words,
        python=python,
        environment=imagine(
            python,
            Platform(system=system, machine=machine, release=release if system == "darwin" else None),
            facts.libc,
            _accelerator(accelerator, facts, words),
        ),
    )


def cell_of(env: Environment, accelerator: str) -> Cell:
    """Return the environment that a detected one is, so far as wheels can tell, with nothing installed in it."""
    platform, found = env.platform.value, env.accelerator.value
    words = [_WORDS.get(platform.system, platform.system), platform.machine, accelerator]
    if env.libc.value is not None:
        words.append(str(env.libc.value).replace(" ", ""))
    if platform.system == "darwin" and platform.release is not None:
        words.append("macos" + ".".join(map(str, platform.release)))
    if accelerator.startswith("cu") and found.driver is not None:
        words.append(f"driver{found.driver}")
        words += [f"sm{each}" for each in sorted({gpu.capability for gpu in env.gpus.value})]
    return cell_for("-".join(words), ".".join(map(str, env.python_release)))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Facts:
    libc: Libc | None
    driver: str | None = None
    capabilities: tuple[str, ...] = ()
    macos: tuple[int, int] | None = None


def _take(facts: _Facts, part: str, words: str) -> _Facts:
    match = re.fullmatch(r"(glibc|musl|driver|sm|macos)(\d+(?:\.\d+)*)", part)
    if match is None:
        raise _not_understood(words, f"`{part}` is no fact that a lock knows")
    kind, value = match.groups()
    major, minor = (*release_of(value), 0)[:2]
    pair = (major, minor)
    libc = facts.libc
    if kind in ("glibc", "musl"):
        libc = Libc(family="glibc" if kind == "glibc" else "musl", version=pair)
    return _Facts(
        libc=libc,
        driver=value if kind == "driver" else facts.driver,
        capabilities=(*facts.capabilities, value) if kind == "sm" else facts.capabilities,
        macos=pair if kind == "macos" else facts.macos,
    )


def _accelerator(word: str, facts: _Facts, words: str) -> Accelerator:
    if word.startswith("cu"):
        major = int(word[2:4])
        driver = facts.driver or MIN_DRIVERS.get(major)
        if driver is None:
            raise _not_understood(words, f"no CUDA {major} is known; name the driver: `{words}-driver999`")
        gpus = tuple(Gpu(name="any", capability=each) for each in facts.capabilities)
        return Accelerator(kind="cuda", driver=driver, gpus=gpus)
    if word.startswith("rocm"):
        return Accelerator(kind="rocm", driver=word.removeprefix("rocm") or None)
    return Accelerator(kind="mps" if word == "mps" else "none")


def _not_understood(words: str, cause: str | None = None) -> UsageError:
    return UsageError(
        f"`--for {words}` is not understood",
        causes=[cause or "it names a system (linux, macos), a machine and an accelerator"],
        hints=[_EXAMPLE],
    )

"""The wheel tags that an environment takes (PEP 425, 600, 656), from detected facts rather than the running process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from mimctl.environment.model import Environment, Libc, Platform
from mimctl.environment.platforms import LEGACY, platform_tags


@dataclass(frozen=True, slots=True, kw_only=True)
class WheelPlatform:
    """The platform part of a wheel tag, taken apart."""

    system: Literal["linux", "darwin", "win32", "any"]
    machine: str = ""
    libc: Libc | None = None
    release: tuple[int, int] | None = None
    """The oldest macOS that it runs on."""

    def __str__(self) -> str:
        if self.system == "any":
            return "any platform"
        return f"{self.system} {self.machine}" + (f" ({self.libc.family})" if self.libc else "")


def supported_tags(env: Environment) -> tuple[str, ...]:
    """Return the tags that the target takes, the most specific first."""
    return _tags(env.python_release, env.abi.value, env.platform.value, env.libc.value)


def tag_ranks(env: Environment) -> Mapping[str, int]:
    """Return the tags that the target takes with their places, the most specific at 0."""
    return _ranks(env.python_release, env.abi.value, env.platform.value, env.libc.value)


@lru_cache(maxsize=16)
def _tags(python: tuple[int, int], abi: str, platform: Platform, libc: Libc | None) -> tuple[str, ...]:
    from packaging.tags import compatible_tags, cpython_tags

    platforms = platform_tags(platform, libc)
    interpreter = f"cp{python[0]}{python[1]}"
    found = [*cpython_tags(python, [abi], platforms), *compatible_tags(python, interpreter, platforms)]
    return tuple(dict.fromkeys(str(tag) for tag in found))


@lru_cache(maxsize=16)
def _ranks(python: tuple[int, int], abi: str, platform: Platform, libc: Libc | None) -> Mapping[str, int]:
    return {tag: place for place, tag in enumerate(_tags(python, abi, platform, libc))}


@lru_cache(maxsize=4096)
def wheel_platform(tag: str) -> WheelPlatform:
    """Return the platform of a wheel tag such as `py3-none-manylinux_2_34_x86_64`."""
    text = tag.split("-", 2)[-1]
    words = text.split("_")
    if text == "any":
        return WheelPlatform(system="any")
    if words[0] == "macosx" and len(words) > 3:
        release = (int(words[1]), int(words[2])) if words[1].isdecimal() and words[2].isdecimal() else None
        return WheelPlatform(system="darwin", machine="_".join(words[3:]), release=release)
    if words[0] in ("win", "win32"):
        return WheelPlatform(system="win32", machine="_".join(words[1:]) or "win32")
    for minor, name in LEGACY.items():
        if words[0] == name:
            return _linux(words[1:], Libc(family="glibc", version=(2, minor)))
    if words[0] in ("manylinux", "musllinux") and len(words) > 3 and words[1].isdecimal() and words[2].isdecimal():
        family: Literal["glibc", "musl"] = "glibc" if words[0] == "manylinux" else "musl"
        return _linux(words[3:], Libc(family=family, version=(int(words[1]), int(words[2]))))
    return _linux(words[1:], None)


def _linux(machine: list[str], libc: Libc | None) -> WheelPlatform:
    return WheelPlatform(system="linux", machine="_".join(machine), libc=libc)


def is_for_platform(tag: str, env: Environment) -> bool:
    """Return whether a tag names the environment's system, machine and C library, of whatever version."""
    wheel, own = wheel_platform(tag), env.platform.value
    if wheel.system != own.system:
        return False
    if wheel.system == "darwin":
        return wheel.machine in (own.machine, "universal2")
    if wheel.machine.lower() != own.machine.lower():
        return False
    return wheel.libc is None or env.libc.value is None or wheel.libc.family == env.libc.value.family


def why_tags_do_not_fit(env: Environment, tags: Sequence[str]) -> str:
    """Return what stands between a wheel with these tags and the target: its platform, C library, macOS or Python."""
    near = [tag for tag in tags if wheel_platform(tag).system == "any" or is_for_platform(tag, env)]
    own, libc = env.platform.value, env.libc.value
    if not near:
        platforms = sorted({str(wheel_platform(tag)) for tag in tags})
        return f"built for {', '.join(platforms)}, this is {own}" + (f" ({libc.family})" if libc else "")
    for_python = [tag for tag in near if is_for_python(tag, env)]
    if not for_python:
        pythons = sorted({"-".join(tag.split("-")[:2]) for tag in near})
        return f"built for {', '.join(pythons)}, this Python takes {env.interpreter_tag.rpartition('-')[0]}"
    wheels = [wheel_platform(tag) for tag in for_python]
    libcs = [each.libc for each in wheels if each.libc is not None]
    if libc is not None and libcs:
        least = min(libcs, key=lambda each: each.version)
        return (
            f"needs {least.family} >= {least.version[0]}.{least.version[1]}, found {libc.version[0]}.{libc.version[1]}"
        )
    releases = [each.release for each in wheels if each.release is not None]
    if releases and own.release is not None:
        oldest = min(releases)
        return f"needs macOS >= {oldest[0]}.{oldest[1]}, found {own.release[0]}.{own.release[1]}"
    return f"its tag {for_python[0]} is none that {own} takes"


def is_for_python(tag: str, env: Environment) -> bool:
    """Return whether the target's Python and ABI are among those that a tag names, on whatever platform."""
    wanted = tag.rpartition("-")[0]
    return wanted in _pythons(env.python_release, env.abi.value, env.platform.value, env.libc.value)


@lru_cache(maxsize=16)
def _pythons(python: tuple[int, int], abi: str, platform: Platform, libc: Libc | None) -> frozenset[str]:
    return frozenset(tag.rpartition("-")[0] for tag in _tags(python, abi, platform, libc))

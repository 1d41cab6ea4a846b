"""The wheel tags that an environment takes (PEP 425, 600, 656), from detected facts rather than the running process."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from mimctl.environment.model import Environment, Libc, Platform

_LEGACY = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}
_WINDOWS = {"amd64": "win_amd64", "arm64": "win_arm64", "win32": "win32"}


@dataclass(frozen=True, slots=True, kw_only=True)
class WheelPlatform:
    """The platform part of a wheel tag, taken apart."""

    system: Literal["linux", "darwin", "win32", "any"]
    machine: str = ""
    libc: Libc | None = None

    def __str__(self) -> str:
        if self.system == "any":
            return "any platform"
        return f"{self.system} {self.machine}" + (f" ({self.libc.family})" if self.libc else "")


def supported_tags(env: Environment) -> tuple[str, ...]:
    """Return the tags that the target takes, the most specific first."""
    return _tags(env.python_release, env.abi.value, env.platform.value, env.libc.value)


@lru_cache(maxsize=16)
def _tags(python: tuple[int, int], abi: str, platform: Platform, libc: Libc | None) -> tuple[str, ...]:
    from packaging.tags import compatible_tags, cpython_tags

    platforms = platform_tags(platform, libc)
    interpreter = f"cp{python[0]}{python[1]}"
    found = [*cpython_tags(python, [abi], platforms), *compatible_tags(python, interpreter, platforms)]
    return tuple(dict.fromkeys(str(tag) for tag in found))


def platform_tags(platform: Platform, libc: Libc | None) -> list[str]:
    """Return the platform tags that a platform takes, the most specific first."""
    if platform.system == "darwin":
        from packaging.tags import mac_platforms

        return list(mac_platforms(platform.release, platform.machine))
    if platform.system == "win32":
        return [_WINDOWS.get(platform.machine.lower(), platform.machine)]
    tags = []
    if libc is not None and libc.family == "glibc":
        oldest = 5 if platform.machine in ("x86_64", "i686") else 17
        for minor in range(libc.version[1], oldest - 1, -1):
            tags.append(f"manylinux_2_{minor}_{platform.machine}")
            if minor in _LEGACY:
                tags.append(f"{_LEGACY[minor]}_{platform.machine}")
    elif libc is not None:
        major, newest = libc.version
        tags = [f"musllinux_{major}_{minor}_{platform.machine}" for minor in range(newest, -1, -1)]
    return [f"linux_{platform.machine}", *tags]


def wheel_platform(tag: str) -> WheelPlatform:
    """Return the platform of a wheel tag such as `py3-none-manylinux_2_34_x86_64`."""
    text = tag.split("-", 2)[-1]
    words = text.split("_")
    if text == "any":
        return WheelPlatform(system="any")
    if words[0] == "macosx" and len(words) > 3:
        return WheelPlatform(system="darwin", machine="_".join(words[3:]))
    if words[0] in ("win", "win32"):
        return WheelPlatform(system="win32", machine="_".join(words[1:]) or "win32")
    for minor, name in _LEGACY.items():
        if words[0] == name:
            return _linux(words[1:], Libc(family="glibc", version=(2, minor)))
    if words[0] in ("manylinux", "musllinux") and len(words) > 3 and words[1].isdigit() and words[2].isdigit():
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

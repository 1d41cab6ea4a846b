"""The platform tags that a machine takes (PEP 425, 600, 656), from detected facts rather than the running process."""

from __future__ import annotations

from mimctl.environment.model import Libc, Platform

LEGACY = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}
"""Minor number of glibc 2 → the name that its platform tag had before PEP 600."""
_WINDOWS = {"amd64": "win_amd64", "arm64": "win_arm64", "win32": "win32"}


def platform_tags(platform: Platform, libc: Libc | None) -> list[str]:
    """Return the platform tags that a platform takes, the most specific first."""
    if platform.system == "darwin":
        from packaging.tags import mac_platforms

        return list(mac_platforms(platform.release, platform.machine))
    if platform.system == "win32":
        return [_WINDOWS.get(platform.machine.lower(), platform.machine)]
    if platform.system != "linux":
        return []
    tags = []
    if libc is not None and libc.family == "glibc":
        oldest = 5 if platform.machine in ("x86_64", "i686") else 17
        for minor in range(libc.version[1], oldest - 1, -1):
            tags.append(f"manylinux_2_{minor}_{platform.machine}")
            if minor in LEGACY:
                tags.append(f"{LEGACY[minor]}_{platform.machine}")
    elif libc is not None:
        major, newest = libc.version
        tags = [f"musllinux_{major}_{minor}_{platform.machine}" for minor in range(newest, -1, -1)]
    return [f"linux_{platform.machine}", *tags]

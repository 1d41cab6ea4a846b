"""What an interpreter knows of itself; runs in the target (any CPython from 3.7 on), so only the standard library."""

from __future__ import annotations

import os
import sys
import sysconfig


def collect() -> dict[str, object]:
    """Return the facts as plain JSON data."""
    paths = sysconfig.get_paths()
    stdlib = paths.get("stdlib", "")
    return {
        "version": ".".join(str(part) for part in sys.version_info[:3]),
        "implementation": sys.implementation.name,
        "executable": sys.executable,
        "abi": _abi(),
        "system": sys.platform,
        "machine": _machine(),
        "mac": _mac() if sys.platform == "darwin" else "",
        "libc": _libc() if sys.platform.startswith("linux") else None,
        "prefix": sys.prefix,
        "base_prefix": sys.base_prefix,
        "externally_managed": os.path.exists(os.path.join(stdlib, "EXTERNALLY-MANAGED")),  # noqa: PTH110, PTH118
        "paths": {name: paths[name] for name in ("purelib", "platlib", "scripts", "data")},
        "search": [entry for entry in sys.path if entry],
    }


def _abi() -> str:
    parts = (sysconfig.get_config_var("SOABI") or "").split("-")
    if len(parts) > 1 and parts[0] == "cpython":
        return "cp" + parts[1]
    return "cp%d%d" % sys.version_info[:2]  # noqa: UP031


def _machine() -> str:
    """Return the machine the interpreter was built for: a 32-bit Python on a 64-bit kernel says i686."""
    machine = sysconfig.get_platform().rpartition("-")[2]
    if machine not in ("", "universal2"):
        return machine
    import platform

    return platform.machine()


def _mac() -> str:
    import platform

    return platform.mac_ver()[0]


def _libc() -> list[object] | None:
    """Return [family, major, minor] of the C library that this interpreter runs on."""
    try:
        words = (os.confstr("CS_GNU_LIBC_VERSION") or "").split()
    except (AttributeError, OSError, ValueError):
        words = []
    if len(words) == 2 and words[0] == "glibc":
        return ["glibc", *_two_numbers(words[1])]
    if "musl" in (sysconfig.get_config_var("HOST_GNU_TYPE") or ""):
        return ["musl", *_two_numbers(_musl_version())]
    return None


def _musl_version() -> str:
    import glob
    import subprocess

    for loader in glob.glob("/lib/ld-musl-*.so.1"):  # noqa: PTH207
        text = subprocess.run([loader], stderr=subprocess.PIPE, check=False).stderr.decode("utf-8", "replace")
        for line in text.splitlines():
            if line.startswith("Version "):
                return line.split()[1]
    return "1.1"


def _two_numbers(version: str) -> list[int]:
    numbers = [int("".join(filter(str.isdigit, part)) or "0") for part in version.split(".")[:2]]
    return [*numbers, 0, 0][:2]


if __name__ == "__main__":
    import json

    print(json.dumps(collect()))

"""The environment variables that pip and uv get from us: where a person's configuration must not bend what they do."""

from __future__ import annotations

import os
from collections.abc import Mapping

_KEPT = frozenset(
    {
        "PIP_CACHE_DIR",
        "PIP_NO_CACHE_DIR",
        "PIP_DEFAULT_TIMEOUT",
        "PIP_TIMEOUT",
        "PIP_RETRIES",
        "PIP_KEYRING_PROVIDER",
        "PIP_CONSTRAINT",
        "PIP_BUILD_CONSTRAINT",
        "UV_CACHE_DIR",
        "UV_NO_CACHE",
        "UV_LINK_MODE",
        "UV_CONCURRENT_BUILDS",
        "UV_CONCURRENT_DOWNLOADS",
        "UV_CONCURRENT_INSTALLS",
        "UV_LOCK_TIMEOUT",
        "UV_HTTP_TIMEOUT",
        "UV_REQUEST_TIMEOUT",
        "UV_HTTP_RETRIES",
        "UV_KEYRING_PROVIDER",
        "UV_NATIVE_TLS",
        "UV_SYSTEM_CERTS",
        "UV_BUILD_CONSTRAINT",
    }
)
"""What says how something is done (caches, patience, certificates) or what a build may use, never what is installed,
from where, or into which place."""
_PLACING_TOO = frozenset({"PIP_CONSTRAINT", "PIP_BUILD_CONSTRAINT", "UV_BUILD_CONSTRAINT"})


def building_environ(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables for a build: without those of pip and uv that name another target, mode or index.

    What remains of a person's configuration (indexes, certificates) is handed over as the caller has read it. Python's
    own `PYTHONWARNINGS` goes too: as errors, warnings of an installer would end it.
    """
    kept = {
        name: value
        for name, value in environ.items()
        if name.upper() in _KEPT or not (name.upper().startswith(("PIP_", "UV_")) or name == "PYTHONWARNINGS")
    }
    pip = {"PIP_CONFIG_FILE": os.devnull, "PIP_NO_INPUT": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    return {**kept, **pip, "PYTHONSAFEPATH": "1", "UV_NO_CONFIG": "1", "UV_NO_PROGRESS": "1"}


def placing_environ(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables for placing and removing: nothing of a person's configuration but caches."""
    return {name: value for name, value in building_environ(environ).items() if name not in _PLACING_TOO}

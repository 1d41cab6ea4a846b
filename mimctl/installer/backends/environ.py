"""The environment variables that pip and uv get from us: where a person's configuration must not bend what they do."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from mimctl.index.sources import PackageSources

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


def pip_variables(sources: PackageSources, *, offline: bool = False) -> dict[str, str]:
    """Return what tells pip where a build's requirements come from. Passwords stand here, not on a command line."""
    sources = _local_only(sources) if offline else sources
    return _said(
        {
            "PIP_INDEX_URL": sources.index_url,
            "PIP_EXTRA_INDEX_URL": " ".join(sources.extra_index_urls),
            "PIP_FIND_LINKS": " ".join(map(_address, sources.find_links)),
            "PIP_NO_INDEX": "" if sources.indexes else "1",
            "PIP_CERT": str(sources.cert or ""),
            "PIP_CLIENT_CERT": str(sources.client_cert or ""),
            "PIP_TRUSTED_HOST": " ".join(sources.trusted_hosts),
            "PIP_PROXY": sources.proxy,
        }
    )


def uv_variables(sources: PackageSources, *, offline: bool = False) -> dict[str, str]:
    """Return what tells uv the same.

    pip looks at all its indexes and takes the best version, so uv is told to do so too. That there is no index at all
    has no variable (see `has_no_index`).
    """
    sources = _local_only(sources) if offline else sources
    return _said(
        {
            "UV_INDEX_STRATEGY": "unsafe-best-match",
            "UV_INDEX_URL": sources.index_url,
            "UV_EXTRA_INDEX_URL": " ".join(sources.extra_index_urls),
            "UV_FIND_LINKS": ",".join(map(_address, sources.find_links)),
            "UV_INSECURE_HOST": " ".join(sources.trusted_hosts),
            "UV_OFFLINE": "1" if offline else "",
            "SSL_CERT_FILE": str(sources.cert or ""),
            "SSL_CLIENT_CERT": str(sources.client_cert or ""),
            "HTTP_PROXY": sources.proxy,
            "HTTPS_PROXY": sources.proxy,
        }
    )


def has_no_index(sources: PackageSources, *, offline: bool = False) -> bool:
    """Return whether a build has to do without any index."""
    return not (_local_only(sources) if offline else sources).indexes


def _said(variables: Mapping[str, str | None]) -> dict[str, str]:
    return {name: value for name, value in variables.items() if value}


def _local_only(sources: PackageSources) -> PackageSources:
    from dataclasses import replace

    indexes = [address for address in sources.indexes if _is_local(address)]
    return replace(
        sources,
        index_url=indexes[-1] if indexes else None,
        extra_index_urls=tuple(indexes[:-1]),
        find_links=tuple(_keep_local(sources.find_links)),
    )


def _keep_local(places: Iterable[str]) -> list[str]:
    return [place for place in places if _is_local(place)]


def _is_local(address: str) -> bool:
    return "://" not in address or address.startswith("file://")


def _address(place: str) -> str:
    """Return a place without the characters that separate places: blanks for pip, commas for uv."""
    text = place if "://" in place else Path(place).expanduser().absolute().as_uri()
    return text.replace(",", "%2C").replace(" ", "%20")

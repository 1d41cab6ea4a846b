"""How things are fetched: what mimctl's settings say, by the way that pip and uv are configured with."""

from __future__ import annotations

import contextlib
import functools
import os
from pathlib import Path

from mimctl.errors import MimctlError
from mimctl.settings import Settings
from mimctl.transfer import Logins, TransferSettings, Way
from mimctl.transfer.allowance import Allowance


def transfer_settings(settings: Settings) -> TransferSettings:
    """Return what the settings of mimctl say of transfers, by the way that pip and uv take in the target."""
    return TransferSettings(
        offline=settings.offline,
        timeout_s=settings.http_timeout_s,
        retries=settings.http_retries,
        allowance=Allowance(settings.http_connections),
        shared_cache=settings.shared_cache,
        configured_way=functools.cache(lambda: _configured_way(settings)),
        logins=Logins(settings.index),
    )


def _configured_way(settings: Settings) -> Way:
    from mimctl.environment.target import find_target
    from mimctl.index.sources import read_sources, way_of

    prefix = None
    with contextlib.suppress(MimctlError):  # nothing to install into is no reason not to fetch
        prefix = find_target(settings.python, environ=os.environ, folder=Path.cwd()).python.parent.parent
    return way_of(read_sources(os.environ, python_prefix=prefix))

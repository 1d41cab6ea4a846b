"""What the tests of the index share: building one and serving it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from static_server import Server

from mimctl.site.build import SiteReport, SiteSources, build_site
from mimctl.transfer import TransferSettings


@pytest.fixture
def serve() -> Iterator[Callable[[Path], Server]]:
    """Serve folders while the test lasts."""
    running: list[Server] = []

    def start(folder: Path) -> Server:
        running.append(Server(folder))
        return running[-1]

    yield start
    for server in running:
        server.close()


@pytest.fixture
def build(tmp_path: Path) -> Callable[..., SiteReport]:
    """Build an index, with a cache of the test's own and transfers that do not wait."""

    def run(out: Path, *wheels: Path, cache: Path | None = tmp_path / "cache", **sources: Any) -> SiteReport:
        transfer = TransferSettings(timeout_s=60, retries=0, backoff_s=0.01)
        return build_site(SiteSources(wheels=wheels, **sources), out, transfer=transfer, cache_dir=cache)

    return run


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)

"""Debian's Chromium without a screen, for tests of pages; fetched where that is all that lacks. Root, or skipped."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from debian import require_programs

OPTIONS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1200,900",
)


def require_chromium() -> None:
    """Skip the test where there is no Chromium and none can be fetched."""
    pytest.importorskip("selenium", reason="selenium drives the browser")
    require_programs(("chromium", "chromedriver"), ("chromium", "chromium-driver"), "Chromium")


@contextlib.contextmanager
def chromium(folder: Path) -> Iterator[Any]:
    """Yield a browser whose profile lies in `folder`."""
    require_chromium()
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    for option in (*OPTIONS, f"--user-data-dir={folder / 'profile'}"):
        options.add_argument(option)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    service = webdriver.ChromeService(executable_path=shutil.which("chromedriver"))
    browser = webdriver.Chrome(options=options, service=service)
    try:
        yield browser
    finally:
        browser.quit()

"""Debian's Chromium without a screen, for tests of pages; fetched where that is all that lacks. Root, or skipped."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

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
    if shutil.which("chromium") and shutil.which("chromedriver"):
        return
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        pytest.skip("there is no Chromium here, and no way to fetch it")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for line in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", "chromium", "chromium-driver"]):
        done = subprocess.run(["apt-get", *line], env=environment, capture_output=True, text=True, timeout=600)
        if done.returncode != 0:
            pytest.skip(f"the package server gives no Chromium: {done.stderr.strip()[-200:]}")


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

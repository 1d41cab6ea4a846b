"""A cache that somebody else has written to: what lies in it is installed only if it is what the index tells."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hostile.conftest import NAME, Liar
from hostile.lying_server import plain
from tiny_wheels import write_wheel

from mimctl import api
from mimctl.settings import Settings


class Listener:
    """Keeps the lines that a person would read."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def note(self, text: str) -> None:
        self.lines.append(text)

    def progress(self, name: str, done: int, total: int | None) -> None:
        pass


@pytest.mark.parametrize("is_shared", [False, True])
def test_a_poisoned_file_is_not_installed_but_replaced(
    liar: Liar, settings: Callable[..., Settings], target: Path, tmp_path: Path, is_shared: bool
) -> None:
    liar.publish()
    sha256 = str(liar.entry["sha256"])
    shared = tmp_path / "shared"
    kept = (shared if is_shared else tmp_path / "cache" / "wheels") / sha256 / NAME
    write_wheel(kept.parent, NAME, extra={"tool/evil.py": b"import poison\n"})
    watch = Listener()
    flags = {"shared_cache": str(shared)} if is_shared else {}
    api.install(("tool",), settings=settings(liar.address, **flags), watch=watch)
    assert next(target.glob("lib/python*/site-packages/tool/evil.py")).read_text() == "evil = 1\n"
    assert kept.read_bytes() == liar.wheel
    assert any("is not what" in line for line in watch.lines), watch.lines


def test_a_shared_cache_serves_who_is_offline_with_the_pages(
    liar: Liar, settings: Callable[..., Settings], target: Path, tmp_path: Path
) -> None:
    liar.publish()
    flags = {"shared_cache": str(tmp_path / "shared")}
    wheel = tmp_path / "shared" / str(liar.entry["sha256"]) / NAME
    wheel.parent.mkdir(parents=True)
    wheel.write_bytes(liar.wheel)
    liar.server.routes[liar.wheel_path] = plain(500)
    api.install(("tool",), settings=settings(liar.address, **flags))
    assert list(target.glob("lib/python*/site-packages/tool/evil.py"))
    assert liar.wheel_path not in liar.server.asked

"""The trainings that are killed, and a table of what became of them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

# Child processes import the experiment by the name that their config gives.
sys.path.insert(0, str(Path(__file__).parent))
from killing import Outcome

_OUTCOMES: list[Outcome] = []


@pytest.fixture(scope="session")
def outcomes() -> list[Outcome]:
    """Return the list of all outcomes, of which a table is shown at the end."""
    return _OUTCOMES


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if not _OUTCOMES:
        return
    write: Callable[[str], None] = terminalreporter.write_line
    terminalreporter.section("killed and resumed")
    write("| loop, what changes | processes | workers | kills | of which inside a save | compared, all equal |")
    write("|---|---|---|---|---|---|")
    for each in _OUTCOMES:
        case = each.case
        workers = f"{case.workers}{', lasting' if case.lasting else ''}"
        write(f"| {case.name} | {case.ranks} | {workers} | {each.kills} | {each.inside_saves} | {each.compared} |")
    totals = [sum(getattr(each, name) for each in _OUTCOMES) for name in ("kills", "inside_saves", "compared")]
    write(f"| all | | | {totals[0]} | {totals[1]} | {totals[2]} |")

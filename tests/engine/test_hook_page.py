"""The page of the hooks says what the hooks are."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

from mimctl.engine import hooks
from mimctl.engine.hooks import Hook
from mimctl.engine.hooks.build import DEFAULT_HOOKS
from mimctl.engine.hooks.hook import HOOK_POINTS, acts_at

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "hooks.md"
KINDS = sorted(
    (each for each in vars(hooks).values() if isinstance(each, type) and issubclass(each, Hook) and each is not Hook),
    key=lambda kind: kind.__name__,
)


def row(kind: type[Hook]) -> str:
    """Return the line of a hook: its name, priority, points and arguments."""
    points = [point for point in HOOK_POINTS if acts_at(kind.__new__(kind), point)]
    given = list(inspect.signature(kind).parameters.values())
    arguments = [
        f"`{each.name}`" if each.default is each.empty else f"`{each.name}={each.default!r}`"
        for each in given
        if each.kind is not each.VAR_KEYWORD
    ]
    return f"| `{kind.__name__}` | {kind.priority} | {', '.join(points)} | {', '.join(arguments) or '-'} |"


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_the_page_has_the_line_of_each_hook(kind: type[Hook]) -> None:
    assert row(kind) in PAGE.read_text(encoding="utf-8").splitlines(), f"write it anew: {row(kind)}"


def test_the_page_names_the_default_hooks() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert all(f"`{name}`" in text for name in DEFAULT_HOOKS)


if __name__ == "__main__":
    print("\n".join(row(kind) for kind in KINDS))

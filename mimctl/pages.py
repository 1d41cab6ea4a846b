"""The page on each error code: docs/errors, shipped with the package."""

from __future__ import annotations

from pathlib import Path

from mimctl.errors import UsageError, did_you_mean, nearest


def explain(code: str) -> str:
    """Return the page on an error code (Markdown); raise UsageError[unknown-code] with the nearest codes."""
    pages = error_pages()
    if code in pages:
        return pages[code].read_text(encoding="utf-8")
    near = nearest(code, set(pages))
    raise UsageError(
        f"there is no page on `{code}`",
        code="unknown-code",
        hints=did_you_mean(near) or ["all codes: `mimctl explain`"],
    )


def error_pages() -> dict[str, Path]:
    """Return error code → its page, shipped with the package, or in a checkout's docs."""
    package = Path(__file__).parent
    for folder in (package / "error_pages", package.parent / "docs" / "errors"):
        if folder.is_dir():
            return {path.stem: path for path in sorted(folder.glob("*.md"))}
    return {}

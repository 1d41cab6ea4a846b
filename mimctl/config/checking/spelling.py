"""When one word is another with a slip, and not a word of its own."""

from __future__ import annotations

import re
from collections.abc import Iterable

from mimctl.errors import distance


def is_misspelled(word: str, meant: str) -> bool:
    """Say whether `word` is `meant` with a slip: few letters differ, and no whole word is put before or after."""
    if meant and word == meant + meant[-1]:
        return True
    if word == meant or word.startswith(meant) or word.endswith(meant) or re.sub(r"\d+$", "", word) == meant:
        return False
    return distance(word, meant) <= _allowed(meant)


def slips(word: str, words: Iterable[str]) -> list[str]:
    """Return the words that `word` may be with a slip, nearest first."""
    letters = set(word)
    near = []
    for meant in words:
        allowed = _allowed(meant)
        if abs(len(word) - len(meant)) > allowed or len(letters ^ set(meant)) > 2 * allowed:
            continue  # most words: no need to count letter by letter
        if is_misspelled(word, meant):
            near.append((distance(word, meant), meant))
    return [each for _, each in sorted(near)]


def _allowed(meant: str) -> int:
    """Return the number of letters that may differ."""
    return max(1, len(meant) // 6)

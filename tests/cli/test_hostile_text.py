"""Text of others on a terminal: it shows, and neither moves the cursor nor turns the direction of what follows."""

from __future__ import annotations

import json
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mimctl.cli.result import tame, to_json

OBEYED = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
texts = st.text(st.characters(exclude_categories=["Cs"]))


def is_obeyed(letter: str) -> bool:
    """Whether a terminal may do something else with a character than show it."""
    if unicodedata.category(letter) in ("Cc", "Zl", "Zp"):
        return letter not in "\t\n"
    return unicodedata.bidirectional(letter) in OBEYED or letter in "\u061c\u200e\u200f"


@settings(deadline=None)
@given(texts)
def test_no_text_is_obeyed(text: str) -> None:
    assert not any(map(is_obeyed, tame(text)))


@settings(deadline=None)
@given(st.recursive(texts, lambda each: st.lists(each) | st.dictionaries(texts, each)))
def test_a_document_says_the_same_and_is_not_obeyed(data: object) -> None:
    text = to_json(data)
    assert json.loads(text) == data
    assert not any(map(is_obeyed, text))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\x1b[2J\x1b]0;title\x07b", "ab"),
        ("net\x9b31m", "net�31m"),
        ("net_\u202ehtp.\u2066x\u2069", "net_�htp.�x�"),
        ("one\u2028two\x85three", "one�two�three"),
        ("ModèleV2 \u05d0\u05d1 模型 👩\u200d🔬", "ModèleV2 \u05d0\u05d1 模型 👩\u200d🔬"),
    ],
)
def test_what_stays_of_a_text(text: str, shown: str) -> None:
    assert tame(text) == shown

"""Text of others on a terminal: it shows, and neither moves the cursor nor turns the direction of what follows."""

from __future__ import annotations

import io
import json
import os
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mimctl.cli.app import from_os
from mimctl.cli.output import Output
from mimctl.cli.result import Result, tame, to_json
from mimctl.errors import MimctlError, render

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


class Terminal(io.TextIOWrapper):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def printed(text: str, kind: type[io.TextIOWrapper], encoding: str, errors: str) -> bytes:
    """Return the bytes that a result's line becomes on a stream."""
    stream = kind(raw := io.BytesIO(), encoding=encoding, errors=errors)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.stdout", stream)
        Output().result("x", Result(lines=[text]))
    stream.flush()
    return raw.getvalue().rstrip(b"\n")


@pytest.mark.parametrize("errors", ["strict", "surrogateescape"])
@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "latin-1"])
def test_a_files_name_that_is_no_text_goes_into_a_pipe_as_it_is(encoding: str, errors: str) -> None:
    name = b"dir\xff/net.pth"
    assert printed(os.fsdecode(name), io.TextIOWrapper, encoding, errors) == name
    assert json.loads(to_json({"config": os.fsdecode(name)})) == {"config": os.fsdecode(name)}
    to_json({"config": os.fsdecode(name)}).encode("utf-8")


@pytest.mark.parametrize("errors", ["strict", "surrogateescape"])
def test_bytes_of_a_name_make_nothing_that_a_terminal_obeys(errors: str) -> None:
    name = os.fsdecode(b"x\xff") + "\udcc2\udc9b31m"
    assert printed(name, Terminal, "utf-8", errors) == b"x???31m"


def test_a_letter_that_the_encoding_lacks_is_replaced() -> None:
    assert printed("\u4e2d a", io.TextIOWrapper, "latin-1", "strict") == b"? a"


@given(texts)
def test_an_error_has_one_line_for_what_happened_whatever_somebody_typed(text: str) -> None:
    error = MimctlError(f"no data set `{text}`", causes=["none of ours"])
    assert render(error).splitlines()[:2] == [f"error[failed]: {error.message}", "  cause: none of ours"]


def test_a_full_disk_is_told_with_the_file_that_was_being_written() -> None:
    error = from_os(OSError(28, "No space left on device", "/there/a.whl", None, "/here/a.whl"))
    assert (error.code, error.message) == ("disk-full", "the disk or quota is full while writing `/here/a.whl`")

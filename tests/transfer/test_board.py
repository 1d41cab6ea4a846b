"""Sharing a file out: every byte once, whatever connections come, stop, halve and fail."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mimctl.transfer.pieces.board import Board, Span

LEAST = 4


def test_four_connections_get_a_quarter_each() -> None:
    board = Board(total=400, least=LEAST)
    own = board.claim()
    others = [board.claim(is_firm=False) for _ in range(3)]
    assert own is not None
    assert sorted((each.start, each.limit) for each in others if each) == [(100, 200), (200, 400), (300, 400)]
    assert board.left(own) == 400, "who only asks takes nothing"
    assert all(board.take(each) for each in others if each)
    assert [board.left(each) for each in (own, *others) if each] == [100, 100, 100, 100]


def test_who_asked_too_late_takes_nothing() -> None:
    board = Board(total=100, least=LEAST)
    own, late = board.claim(), board.claim(is_firm=False)
    assert own is not None
    assert late is not None
    board.wrote(own, late.start + 1)
    assert not board.take(late)
    board.give_back(late)
    assert board.left(own) == 100 - late.start - 1


def test_what_somebody_failed_to_bring_is_theirs_who_fetch_what_is_before_it() -> None:
    board = Board(total=100, least=LEAST)
    own, other = board.claim(), board.claim(is_firm=False)
    assert own is not None
    assert other is not None
    assert board.take(other)
    board.give_back(other)
    assert board.left(own) == 100


def test_what_an_earlier_run_left_is_not_given_out() -> None:
    board = Board(total=100, there=[(0, 10), (40, 50), (90, 100)], least=LEAST)
    spans = [board.claim() for _ in range(2)]
    assert [(each.start, each.limit) for each in spans if each] == [(10, 40), (50, 90)]
    assert (board.num_done, board.num_missing, board.prefix()) == (30, 70, 10)


def test_a_file_of_unknown_length_has_one_stretch() -> None:
    board = Board(total=None, least=LEAST)
    span = board.claim()
    assert span is not None
    assert board.claim() is None
    board.wrote(span, 7)
    board.end_here(span)
    assert board.is_whole
    assert board.total == 7


@given(
    total=st.integers(1, 200),
    there=st.lists(st.tuples(st.integers(0, 200), st.integers(0, 200)).map(sorted).map(tuple), max_size=4),
    steps=st.lists(st.tuples(st.sampled_from(["own", "ask", "take", "write", "end"]), st.integers(0, 99)), max_size=80),
)
def test_every_byte_is_fetched_once(total, there, steps) -> None:
    there = [(start, min(end, total)) for start, end in there if start < min(end, total)]
    board = Board(total=total, there=there, least=LEAST)
    count = [0] * total
    for start, end in board.extents():
        for offset in range(start, end):
            count[offset] += 1
    spans: list[Span] = []

    def write(span: Span, num: int) -> None:
        before = span.at
        board.wrote(span, num)
        for offset in range(before, span.at):
            count[offset] += 1

    for what, number in steps:
        if what in ("own", "ask"):
            span = board.claim(is_firm=what == "own")
            if span is not None:
                assert 0 <= span.start < span.limit <= total
                spans.append(span)
        elif spans:
            span = spans[number % len(spans)]
            if what == "take":
                board.take(span)
            elif what == "write" and span.is_firm:
                write(span, number)
            elif what == "end":
                board.give_back(span)
                spans.remove(span)
        assert max(count) <= 1
        assert board.num_done == sum(count) == sum(end - start for start, end in board.extents())
    for span in spans:
        board.give_back(span)
    while (span := board.claim()) is not None:
        write(span, total)
        board.give_back(span)
    assert board.is_whole
    assert count == [1] * total

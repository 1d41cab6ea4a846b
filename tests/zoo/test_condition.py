"""Conditions on models: what the text means, and that no text does anything but be read or refused."""

from __future__ import annotations

import operator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mimctl.errors import UsageError
from mimctl.zoo.condition import Condition, Field, number_of, parse_conditions

SIGNS = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}
WORDS = st.from_regex(r"[a-z][a-z0-9_@/.\-]{0,12}", fullmatch=True).filter(
    lambda word: number_of(word) is None and word != "and"
)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("batch_size>45,epochs>100", ["batch_size>45", "epochs>100"]),
        ("batch_size>45 epochs>100", ["batch_size>45", "epochs>100"]),
        ("batch_size > 45 , epochs > 100", ["batch_size>45", "epochs>100"]),
        ("box_ap>=40 and params<30M", ["box_ap>=40", "params<30000000"]),
        ("128<batch_size<=256", ["128<batch_size<=256"]),
        ("45 < top-1_accuracy", ["45<top-1_accuracy"]),
        ("coco/box_ap>=40.5", ["coco/box_ap>=40.5"]),
        ("params<24.33M", ["params<24330000"]),
        ("model=RTMDet", ['model=="RTMDet"']),
        ('training_data == "Objects 365"', ['training_data=="Objects 365"']),
        ('"inference_time(ms/im)[v100,1]" < 20', ['"inference_time(ms/im)[v100,1]"<20']),
        ("", []),
        (" , ", []),
    ],
)
def test_a_condition_reads_as_it_is_written(text, read):
    assert [str(each) for each in parse_conditions(text)] == read


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("ap", "compared with nothing"),
        ("ap>", "compared with nothing"),
        (">4", "nothing to compare on its left"),
        ("ap>>4", "nothing to compare on its left"),
        ("4<5", "names no field"),
        ("ap<high", "`<` compares numbers, `high` is none"),
        ("ap!4", "is not understood"),
        ("ap>4 'open", "is not understood"),
    ],
)
def test_a_condition_that_means_nothing_is_refused_with_the_reason(text, cause):
    with pytest.raises(UsageError) as refused:
        parse_conditions(text)
    assert refused.value.code == "bad-condition"
    assert cause in refused.value.causes[0]


@settings(deadline=None)
@given(st.text(max_size=40))
def test_any_text_is_read_or_refused(text):
    try:
        found = parse_conditions(text)
    except UsageError as err:
        assert err.code == "bad-condition"
    else:
        assert all(isinstance(each, Condition) and each.operators for each in found)


@settings(deadline=None)
@given(st.text(alphabet="ab1<>=!, '\"", max_size=25))
def test_any_mixture_of_its_own_letters_is_read_or_refused(text):
    try:
        parse_conditions(text)
    except UsageError as err:
        assert err.code == "bad-condition"


@settings(deadline=None)
@given(WORDS, st.sampled_from(sorted(SIGNS)), NUMBERS, NUMBERS)
def test_a_comparison_holds_where_the_numbers_do(word, sign, bound, value):
    (condition,) = parse_conditions(f"{word}{sign}{bound!r}")
    assert condition == Condition((Field(word), bound), (sign,))
    assert condition.holds(value) is SIGNS[sign](value, bound)
    (turned,) = parse_conditions(f"{bound!r}{sign}{word}")
    assert turned.holds(value) is SIGNS[sign](bound, value)


@settings(deadline=None)
@given(WORDS, NUMBERS, NUMBERS, NUMBERS)
def test_a_chain_holds_where_both_its_comparisons_do(word, low, high, value):
    (condition,) = parse_conditions(f"{low!r}<{word}<={high!r}")
    assert condition.holds(value) is (low < value <= high)


@settings(deadline=None)
@given(st.lists(st.tuples(WORDS, st.sampled_from(sorted(SIGNS)), NUMBERS), min_size=1, max_size=5))
def test_what_is_written_reads_as_the_same_again(terms):
    read = parse_conditions(", ".join(f"{word} {sign} {number!r}" for word, sign, number in terms))
    assert len(read) == len(terms)
    assert parse_conditions(" ".join(map(str, read))) == read


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (24, 24.0),
        ("24.33M", 24330000.0),
        ("1.5 G", 1.5e9),
        ("81%", 81.0),
        ("1e-3", 0.001),
        (True, None),
        ("24.33 Mangos", None),
        ("", None),
        (float("nan"), None),
        ("1e999", None),
        (None, None),
        ([1], None),
    ],
)
def test_a_text_that_is_a_number_counts_as_one(value, number):
    assert number_of(value) == number


def test_values_that_cannot_be_compared_hold_for_nothing():
    (condition,) = parse_conditions("ap>4")
    assert not any(condition.holds(value) for value in (None, "many", [], [3, None], True, {}))
    assert condition.holds([3, 5])


def test_a_field_of_several_texts_equals_each_of_them():
    (same,) = parse_conditions("training_data==coco")
    (other,) = parse_conditions("training_data!=coco")
    assert same.holds(["ImageNet", "COCO"]) and not other.holds(["ImageNet", "COCO"])
    assert not same.holds(["ImageNet"]) and other.holds(["ImageNet"])

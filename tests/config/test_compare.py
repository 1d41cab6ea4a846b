"""What differs between two configs: items of lists are recognised, types count."""

from __future__ import annotations

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mimctl.config.writing.compare import compare

A, B, C, N = ({"type": name} for name in "ABCN")
B1, B2 = ({"type": "B", "x": number} for number in (1, 2))


def found(old, new):
    return [(each.kind, each.old_path, each.path) for each in compare(old, new)]


@pytest.mark.parametrize(
    ("old", "new", "differences"),
    [
        ({"a": 1}, {"a": 1}, []),
        ({"a": float("nan")}, {"a": float("nan")}, []),
        ({"a": 1}, {"a": 2}, [("changed", "a", "a")]),
        ({"a": 1}, {"a": 1.0}, [("changed", "a", "a")]),
        ({"a": 1}, {"a": True}, [("changed", "a", "a")]),
        ({"a": [1, 2]}, {"a": (1, 2)}, [("changed", "a", "a")]),
        ({"a": [1, 2]}, {"a": [1, 3]}, [("changed", "a", "a")]),
        ({"a": {"b": 1}}, {"a": 1}, [("changed", "a", "a")]),
        ({"a": {"b": 1, "c": 2}}, {"a": {"c": 2, "d": 3}}, [("removed", "a.b", "a.b"), ("added", "a.d", "a.d")]),
        ({"p": [A, B, C]}, {"p": [A, B, C]}, []),
        ({"p": [A, B, C]}, {"p": [N, A, B, C]}, [("added", "p.0", "p.0")]),
        ({"p": [A, B, C]}, {"p": [A, C]}, [("removed", "p.1", "p.1")]),
        ({"p": [A, B, C]}, {"p": [C, A, B]}, [("moved", "p.2", "p.0")]),
        ({"p": [A, B]}, {"p": [A, B1]}, [("added", "p.1.x", "p.1.x")]),
        ({"p": [A, B]}, {"p": [N, B]}, [("removed", "p.0", "p.0"), ("added", "p.0", "p.0")]),
        ({"p": [A, B1, C]}, {"p": [N, A, B2, C]}, [("added", "p.0", "p.0"), ("changed", "p.1.x", "p.2.x")]),
        ({"p": [B1, A]}, {"p": [A, B2]}, [("moved", "p.0", "p.1"), ("changed", "p.0.x", "p.1.x")]),
        ({"p": [A, A]}, {"p": [A]}, [("removed", "p.1", "p.1")]),
        ({"p": [[1, 2], [3]]}, {"p": [[3], [1, 2]]}, [("moved", "p.1", "p.0")]),
        ({"p": [{"x": 1}]}, {"p": [{"x": 2}]}, [("removed", "p.0", "p.0"), ("added", "p.0", "p.0")]),
        ({"p": []}, {"p": [A]}, [("added", "p.0", "p.0")]),
    ],
)  # fmt: skip
def test_differences(old, new, differences):
    assert found(old, new) == differences


VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(0, 3), st.floats(0, 2), st.sampled_from(["a", "b"])),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(st.sampled_from(["type", "x", "y"]), inner, max_size=3),
    ),
    max_leaves=12,
)


@given(VALUES, VALUES)
def test_no_difference_means_the_same_and_nothing_is_changed(old, new):
    kept = copy.deepcopy((old, new))
    assert list(compare(old, copy.deepcopy(old))) == []
    differences = list(compare(old, new))
    if not differences:
        # Dicts are equal whatever the order of their keys.
        assert (old, str(type(old))) == (new, str(type(new)))
    assert (old, new) == kept

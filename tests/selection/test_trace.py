"""The trace of a choice is made as it is read, and reads like any sequence."""

from __future__ import annotations

import sys

from made_environment import make_env, make_file

from mimctl.selection.choose import RULES, Accepted, Rejected, choose

FILES = [make_file(f"0.{minor}.0 cpu {tag}") for minor in range(200) for tag in ("x86", "arm")]


def trace():
    return choose(make_env(), FILES).decisions


def test_it_has_a_decision_on_every_candidate_the_greatest_version_first():
    decisions = trace()
    assert len(decisions) == len(FILES) == len(list(decisions))
    assert {each.file.filename for each in decisions} == {file.filename for file in FILES}
    assert [each.file.version for each in decisions][:4] == ["0.199.0", "0.199.0", "0.198.0", "0.198.0"]
    assert sum(isinstance(each, Rejected) for each in decisions) == 200
    assert [each.file.version for each in decisions if isinstance(each, Accepted) and each.is_chosen] == ["0.199.0"]


def test_it_may_be_read_from_both_ends_and_by_two_at_once():
    one, other = trace(), trace()
    assert one[-1].file.version == "0.0.0"
    assert [each.file for each in one[:3]] == [each.file for each in list(other)[:3]]
    decisions = trace()
    pairs = list(zip(decisions, iter(decisions), strict=True))
    assert all(left is right for left, right in pairs)
    assert len(pairs) == len(FILES)
    assert decisions == tuple(one)
    assert decisions != tuple(one)[1:]


def test_what_is_not_read_is_not_worked_out():
    env = make_env()
    selection = choose(env, FILES)
    assert next(iter(selection.decisions)).file.version == "0.199.0"
    assert selection.warning is None
    assert len(selection.decisions._made) < len(FILES)


def test_files_that_the_rules_cannot_tell_apart_are_judged_once(monkeypatch):
    """The deterministic twin of the benchmark: the work of the rules does not grow with the index."""
    judged = []

    def counted(env, file, wish):
        judged.append(file)

    monkeypatch.setattr(sys.modules["mimctl.selection.choose"], "RULES", (counted, *RULES))
    kinds = [(build, tag) for build in ("cpu", "cu13") for tag in ("x86", "arm")]
    texts = [f"0.{minor}.0+{build} {build} {tag}" for minor in range(300) for build, tag in kinds]
    selection = choose(make_env(torch="2.9.1+cpu"), [make_file(text) for text in texts])
    assert selection.chosen is None
    assert len(selection.rejected) == 1200
    assert len(judged) == 4

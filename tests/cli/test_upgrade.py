"""`mimctl upgrade` as it is typed; what it changes is tested in tests/installer."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "error[usage]: name what to upgrade, or all of it"),
        (["det", "--all"], "error[usage]: names and `--all` exclude each other"),
    ],
)
def test_upgrade_wants_names_or_all(mimctl, arguments, message):
    said = mimctl("upgrade", *arguments)
    assert (said.code, said.out, said.err.splitlines()[0]) == (2, "", message)


def test_nothing_of_ours_there_is_told(mimctl):
    said = mimctl("upgrade", "--all")
    assert said.code == 1
    assert said.err.startswith("error[not-installed]: nothing that mimctl upgrades is installed\n  cause: looked in ")


def test_the_word_of_other_tools_is_known(mimctl):
    assert "did you mean `mimctl upgrade`?" in mimctl("update").err

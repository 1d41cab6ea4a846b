"""A withdrawn version is not taken, and no pre-release takes its place unasked: as with pip."""

from __future__ import annotations

import pytest
from made_environment import make_env
from resolution.made_catalog import MadeCatalog, MadeInstalled, make_wheel, wants

from mimctl.errors import MimctlError
from mimctl.resolution.model import ResolveOptions
from mimctl.resolution.resolve import resolve

WITHDRAWN = make_wheel("a 1.0", yanked="broken")
OF_OTHERS = make_wheel("a 1.1", tag="cp27-cp27mu-manylinux1_x86_64", yanked="broken")
PRE = make_wheel("a 2.0rc1", sha="b")


def picked(typed, *files, **options):
    made = resolve(
        wants(typed),
        env=make_env(torch=None),
        catalog=MadeCatalog(files),
        installed=MadeInstalled(),
        options=ResolveOptions(**options),
    )
    return made.picks["a"].version


def test_no_prerelease_takes_the_place_of_a_withdrawn_version():
    with pytest.raises(MimctlError):
        picked("a", WITHDRAWN, PRE)


def test_it_is_taken_where_it_is_asked_for_or_the_withdrawn_one_would_not_fit_anyway():
    assert picked("a", WITHDRAWN, PRE, pre=True) == "2.0rc1"
    assert picked("a>=2.0rc1", WITHDRAWN, PRE) == "2.0rc1"
    assert picked("a", OF_OTHERS, PRE) == "2.0rc1"
    assert picked("a==1.0", WITHDRAWN, PRE) == "1.0"

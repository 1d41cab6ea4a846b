"""Which engine a toolbox accepts, decided without packaging where it can be, always as packaging decides."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from packaging.specifiers import SpecifierSet

from mimctl.plugin.fits import misfit_of

releases = st.lists(st.integers(0, 12), min_size=1, max_size=4).map(lambda numbers: ".".join(map(str, numbers)))
endings = st.sampled_from(["", "", "", "rc1", ".dev2", ".post1", "+local"])
clauses = st.tuples(st.sampled_from([">=", "<", "<", ">=", ">", "<=", "!=", "=="]), releases).map("".join)


@given(
    wanted=st.lists(clauses, min_size=1, max_size=3).map(",".join),
    engine=st.tuples(releases, endings).map("".join),
)
def test_an_engine_fits_where_packaging_says_so(wanted, engine):
    assert (misfit_of(wanted, engine) is None) == SpecifierSet(wanted).contains(engine, prereleases=True)


def test_what_does_not_fit_is_too_old_or_too_new():
    assert misfit_of(">=0.2,<0.3", "0.1.9") == "too old"
    assert misfit_of(">=0.2,<0.3", "0.3") == "too new"
    assert misfit_of(" >=0.2 , <0.3", "0.2") is None


def test_what_looks_like_versions_and_is_none_is_told_apart():
    assert [misfit_of(each, "0.1.0") for each in (">=abc", "~=1", ">=0.1.*")] == ["unreadable"] * 3
    assert misfit_of("===foo", "0.1.0") == "too new"

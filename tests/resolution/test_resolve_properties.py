"""Small universes at random: the resolver against every combination there is."""

from __future__ import annotations

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st
from made_environment import make_env
from packaging.requirements import Requirement
from resolution.made_catalog import MadeCatalog, MadeInstalled, make_wheel, wants

from mimctl.errors import MimctlError
from mimctl.resolution.model import Present, ResolveOptions
from mimctl.resolution.resolve import resolve

NAMES = ("a", "b", "c", "d")
VERSIONS = ("1", "2", "3")
SPECIFIERS = ("", "==1", "==2", "!=2", ">=2", "<3", "<2", ">3")
requirement = st.tuples(st.sampled_from(NAMES), st.sampled_from(SPECIFIERS)).map("".join)
universe = st.dictionaries(
    st.tuples(st.sampled_from(NAMES), st.sampled_from(VERSIONS)), st.lists(requirement, max_size=3), max_size=12
)
asked = st.lists(requirement, min_size=1, max_size=2)
there = st.dictionaries(st.sampled_from(NAMES), st.sampled_from(VERSIONS), max_size=3)


def holds(text, versions):
    parsed = Requirement(text)
    return parsed.name in versions and parsed.specifier.contains(versions[parsed.name])


def is_consistent(versions, universe, requests):
    """Return whether a choice has all that is requested and all that this requires."""
    return all(holds(each, versions) for each in requests) and all(
        holds(each, versions) for name, version in versions.items() for each in universe[name, version]
    )


def reachable(versions, universe, requests):
    """Return what of a choice is needed."""
    found, queue = {}, list(requests)
    while queue:
        name = Requirement(queue.pop()).name
        if name not in found:
            found[name] = versions[name]
            queue += universe[name, versions[name]]
    return found


def all_choices(universe):
    """Return every choice of at most one version of each name."""
    options = [[None, *(version for version in VERSIONS if (name, version) in universe)] for name in NAMES]
    for choice in itertools.product(*options):
        yield {name: version for name, version in zip(NAMES, choice, strict=True) if version is not None}


def run(universe, requests, installed=None, requires=None):
    """Return the versions of the answer, and the names of what stays; None where it is refused."""
    installed = installed or {}
    files = [make_wheel(f"{name} {version}", *requires) for (name, version), requires in sorted(universe.items())]
    present = MadeInstalled([Present(name=name, version=version) for name, version in installed.items()], requires)
    try:
        made = resolve(
            wants(*requests),
            env=make_env(torch=None),
            catalog=MadeCatalog(files),
            installed=present,
            options=ResolveOptions(),
        )
    except MimctlError as err:
        assert err.code in ("conflicting-requirements", "not-in-index"), err.code
        return None
    return {name: pick.version for name, pick in made.picks.items()}, {
        name for name, pick in made.picks.items() if pick.is_kept
    }


@settings(max_examples=300, deadline=None)
@given(universe, asked)
def test_an_answer_is_found_exactly_where_there_is_one_and_it_is_consistent(universe, requests):
    made = run(universe, requests)
    possible = any(is_consistent(each, universe, requests) for each in all_choices(universe))
    assert (made is not None) == possible
    if made is not None:
        versions, kept = made
        assert is_consistent(versions, universe, requests)
        assert versions == reachable(versions, universe, requests), "nothing comes that nobody needs"
        assert not kept
        assert run(universe, requests) == made
        assert run(dict(reversed(universe.items())), requests) == made, "the order of an index says nothing"


@settings(max_examples=400, deadline=None)
@given(universe, asked, there)
def test_nothing_that_held_is_broken_and_what_is_there_stays_where_it_can(universe, requests, installed):
    installed = {name: version for name, version in installed.items() if (name, version) in universe}
    requires = {name: universe[name, version] for name, version in installed.items()}
    held = [(name, each) for name, texts in requires.items() for each in texts if holds(each, installed)]
    made = run(universe, requests, installed, requires)
    if made is None:
        return
    versions, kept = made
    after = {**installed, **versions}
    assert all(after[name] == installed[name] for name in kept)
    assert all(holds(each, after) for each in requests)
    for name, text in held:
        if after[name] == installed[name]:
            assert holds(text, after), f"{name} {installed[name]} required {text}"
    for name, version in versions.items():
        if name not in kept:
            assert all(holds(each, after) for each in universe[name, version])
    if all(holds(each, installed) for each in requests) and is_consistent(installed, universe, requests):
        assert versions == {name: installed[name] for name in versions}, "nothing was to do"


@settings(max_examples=200, deadline=None)
@given(universe, asked, there)
def test_where_any_answer_leaves_all_that_is_installed_one_is_found(universe, requests, installed):
    installed = {name: version for name, version in installed.items() if (name, version) in universe}
    requires = {name: universe[name, version] for name, version in installed.items()}
    possible = any(
        is_consistent(each, universe, requests)
        and all(each.get(name) == version for name, version in installed.items())
        for each in all_choices(universe)
    )
    if possible:
        assert run(universe, requests, installed, requires) is not None

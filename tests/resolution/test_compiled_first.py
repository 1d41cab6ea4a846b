"""A newer version without a compiled build does not push pure PyTorch in where the index has compiled ones."""

from __future__ import annotations

from made_environment import make_env
from resolution.made_catalog import MadeCatalog, MadeInstalled, make_wheel, wants

from mimctl.index.model import Build
from mimctl.resolution.model import ResolveOptions
from mimctl.resolution.resolve import resolve

COMPILED = make_wheel(
    "mimctl-ops 1", build=Build(backend="cpu", min_torch="2.10"), tag="py3-none-manylinux_2_28_x86_64", sha="c"
)
PURE = make_wheel("mimctl-ops 2", build=Build(backend="python", min_torch="2.6"), sha="d")


def picked(platform, **options):
    made = resolve(
        wants("mimctl-ops"),
        env=make_env(platform=platform),
        catalog=MadeCatalog((COMPILED, PURE)),
        installed=MadeInstalled(),
        options=ResolveOptions(**options),
    )
    return made.picks["mimctl-ops"].file


def test_the_newest_compiled_version_comes_before_a_newer_pure_one():
    assert picked("linux") == COMPILED


def test_the_pure_one_is_taken_where_it_is_asked_for_or_no_build_is_compiled_for_the_platform():
    assert picked("linux", variant="python") == PURE
    assert picked("alpine") == PURE

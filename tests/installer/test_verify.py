"""What is looked at after a change: everything required is there, and nothing that held is broken."""

from __future__ import annotations

from dataclasses import replace

import pytest
from made_environment import make_env

from mimctl.environment.distributions import scan
from mimctl.errors import MimctlError
from mimctl.installer.verify import check_unbroken, missing_requirements


@pytest.fixture
def env(tmp_path):
    """Make an environment from `name==version` and what each requires."""

    def make(folder, torch=None, cv2=False, **distributions):
        site = tmp_path / folder
        for name, (version, *requires) in distributions.items():
            info = site / f"{name}-{version}.dist-info"
            info.mkdir(parents=True)
            lines = "".join(f"Requires-Dist: {each}\n" for each in requires)
            (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\n{lines}\n")
        return replace(make_env(torch=torch, cv2=cv2), distributions=scan([site]))

    return make


def moved(after, before):
    """Return `after` with what is the same in both lying where it lay."""
    same = {
        name: before.distributions[name]
        if name in before.distributions and before.distributions[name].version == each.version
        else each
        for name, each in after.distributions.items()
    }
    return replace(after, distributions=same)


def test_a_requirement_that_held_and_does_not_any_more_is_told(env):
    before = env("before", numpy=("1.26",), scipy=("1.0", "numpy<2"), other=("1.0", "numpy<1"))
    after = moved(env("after", numpy=("2.0",), scipy=("1.0", "numpy<2"), other=("1.0", "numpy<1")), before)
    with pytest.raises(MimctlError) as caught:
        check_unbroken(before, after)
    assert caught.value.code == "incomplete-install"
    assert caught.value.causes == ("numpy<2 (for scipy): found 2.0",)


def test_what_disappears_is_told_and_what_was_broken_before_is_not(env):
    before = env("before", numpy=("1.26",), scipy=("1.0", "numpy", "ghost"))
    after = moved(env("after", scipy=("1.0", "numpy", "ghost")), before)
    with pytest.raises(MimctlError) as caught:
        check_unbroken(before, after)
    assert caught.value.causes == ("numpy (for scipy): not installed",)


def test_what_goes_along_or_is_new_breaks_nothing(env):
    before = env("before", numpy=("1.26",), scipy=("1.0", "numpy<2"))
    after = moved(env("after", numpy=("2.0",), scipy=("2.0", "numpy>=2"), fresh=("1.0", "numpy<1")), before)
    check_unbroken(before, after)


def test_requirements_of_extras_and_other_platforms_do_not_count(env):
    lines = ("a; extra == 'x'", "b; sys_platform == 'win32'", "c; extra == 'x' or python_version > '3'", "d")
    made = env("one", root=("1.0", *lines))
    assert missing_requirements(made, ["root"]) == [
        'c; extra == "x" or python_version > "3" (for root): not installed',
        "d (for root): not installed",
    ]
    assert 'a; extra == "x" (for root[x]): not installed' in missing_requirements(made, ["root[x]"])


def test_any_cv2_counts_as_every_opencv(env):
    assert missing_requirements(env("one", root=("1.0", "opencv-python>=4")), ["root"]) != []
    assert missing_requirements(env("two", cv2=True, root=("1.0", "opencv-python>=4")), ["root"]) == []

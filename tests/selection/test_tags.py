"""The tags made from facts are those that packaging reads off the running process."""

from __future__ import annotations

import pytest
from packaging.tags import sys_tags

from mimctl.environment.detect import detect
from mimctl.selection.tags import supported_tags, wheel_platform


def test_tags_of_this_interpreter_are_those_of_packaging():
    env = detect(environ={"MIMCTL_DRIVER": "none"})
    expected = [str(tag) for tag in sys_tags()]
    assert list(supported_tags(env)) == expected


@pytest.mark.parametrize(
    ("platform", "taken", "not_taken"),
    [
        ("linux", "cp311-cp311-manylinux2014_x86_64", "cp311-cp311-musllinux_1_2_x86_64"),
        ("linux", "cp37-abi3-manylinux_2_5_x86_64", "cp311-cp311-manylinux_2_37_x86_64"),
        ("linux-arm", "py3-none-manylinux_2_17_aarch64", "py3-none-manylinux_2_12_aarch64"),
        ("alpine", "py3-none-musllinux_1_1_x86_64", "py3-none-manylinux_2_17_x86_64"),
        ("mac", "py3-none-macosx_11_0_arm64", "py3-none-macosx_15_0_arm64"),
        ("windows", "cp311-cp311-win_amd64", "cp311-cp311-win32"),
    ],
)
def test_tags_of_other_platforms(env, platform, taken, not_taken):
    tags = supported_tags(env(platform=platform))
    assert taken in tags
    assert not_taken not in tags


@pytest.mark.parametrize(
    ("tag", "shown"),
    [
        ("py3-none-any", "any platform"),
        ("py3-none-manylinux_2_34_x86_64", "linux x86_64 (glibc)"),
        ("cp311-cp311-manylinux2014_aarch64", "linux aarch64 (glibc)"),
        ("py3-none-musllinux_1_2_x86_64", "linux x86_64 (musl)"),
        ("py3-none-linux_x86_64", "linux x86_64"),
        ("py3-none-macosx_11_0_arm64", "darwin arm64"),
        ("py3-none-win_amd64", "win32 amd64"),
    ],
)
def test_platform_of_a_tag(tag, shown):
    assert str(wheel_platform(tag)) == shown

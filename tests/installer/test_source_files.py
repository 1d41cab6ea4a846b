"""The source distribution that is built is the newest one that was asked for, and that this Python can use."""

from __future__ import annotations

import pytest
from packaging.specifiers import SpecifierSet

from mimctl.errors import MimctlError
from mimctl.index.model import SourceFile
from mimctl.installer.asking.source_files import choose_source
from mimctl.resolution.model import Project

PROJECT = Project(
    name="odd-one",
    sources=(
        SourceFile(filename="odd_one-1.0.tar.gz", url="https://host/odd_one-1.0.tar.gz", sha256="a" * 64),
        SourceFile(filename="odd-one-1.10.zip", url="https://host/odd-one-1.10.zip"),
        SourceFile(filename="Odd.One-1.9.tgz", url="https://host/Odd.One-1.9.tgz"),
        SourceFile(filename="odd_one-2.0.tar.gz", url="https://host/2", requires_python=">=3.99"),
        SourceFile(filename="odd_one-1.11.tar.gz", url="https://host/yanked", yanked="it is broken"),
        SourceFile(filename="odd_one-3.0rc1.tar.gz", url="https://host/rc"),
        SourceFile(filename="odd_one_more-9.0.tar.gz", url="https://host/another"),
    ),
    looked_in=("https://host",),
)


@pytest.mark.parametrize(
    ("specifier", "pre", "address"),
    [
        ("", False, "https://host/odd-one-1.10.zip"),
        ("<1.10", False, "https://host/Odd.One-1.9.tgz"),
        ("==1.0", False, "https://host/odd_one-1.0.tar.gz"),
        ("==1.11", False, "https://host/yanked"),
        ("", True, "https://host/rc"),
        (">=3.0rc1", False, "https://host/rc"),
        (">2", False, "https://host/rc"),
    ],
)
def test_the_newest_that_is_allowed(specifier, pre, address):
    found = choose_source(PROJECT, SpecifierSet(specifier), python="3.11.7", pre=pre)
    assert (found.kind, found.address, found.name) == ("archive", address, "odd-one")
    assert (found.sha256 is not None) == (specifier == "==1.0")


def test_none_that_is_allowed_is_an_error_that_tells_what_there_is():
    with pytest.raises(MimctlError) as caught:
        choose_source(PROJECT, SpecifierSet("==7"), python="3.11.7")
    assert caught.value.causes == ("there are 3.0rc1, 2.0, 1.11, 1.10, 1.9, 1.0", "looked in https://host")
    with pytest.raises(MimctlError) as caught:
        choose_source(Project(name="odd-one"), SpecifierSet(), python="3.11.7")
    assert caught.value.causes == ("there is none of it at all",)

"""Wheels that are not ours are chosen as pip chooses them, by their names and what the index says alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_environment import make_env
from packaging.tags import Tag
from packaging.utils import parse_wheel_filename

from mimctl.index.filenames import NameReader
from mimctl.index.model import IndexFile
from mimctl.selection.choose import choose, has_compiled_here
from mimctl.selection.refusal import refusal
from mimctl.selection.tags import supported_tags


def make_files(*names, requires_python=None, yanked=()):
    """Return files from the names of wheels, as a plain index gives them."""
    files = []
    for name in names:
        project = name.partition("-")[0].replace("_", "-").lower()
        version, tags = NameReader(project).wheel(name)
        files.append(
            IndexFile(
                project=project,
                filename=name,
                url=f"https://files.example/{name}",
                sha256="0" * 64,
                size=None,
                version=version,
                tags=tags,
                requires_python=requires_python,
                yanked="broken" if name in yanked else None,
            )
        )
    return files


NUMPY = tuple(
    f"numpy-2.4.0-cp{python}-cp{abi}-{platform}.whl"
    for python, abi in (("311", "311"), ("312", "312"), ("314", "314"), ("314", "314t"))
    for platform in (
        "manylinux_2_27_x86_64.manylinux_2_28_x86_64",
        "manylinux_2_27_aarch64.manylinux_2_28_aarch64",
        "musllinux_1_2_x86_64",
        "macosx_14_0_arm64",
        "macosx_10_15_x86_64",
        "win_amd64",
        "win_arm64",
    )
)
TORCHVISION = tuple(
    f"torchvision-0.28.0{label}-cp311-cp311-manylinux_2_28_x86_64.whl"
    for label in ("", "+cpu", "+cu126", "+cu130", "+xpu")
)

# name: (environment, wheels, what is taken)
TABLE = {
    "numpy": ({}, NUMPY, "numpy-2.4.0-cp311-cp311-manylinux_2_27_x86_64.manylinux_2_28_x86_64.whl"),
    "numpy on ARM": (
        {"platform": "linux-arm", "python": "3.12.1"},
        NUMPY,
        "numpy-2.4.0-cp312-cp312-manylinux_2_27_aarch64.manylinux_2_28_aarch64.whl",
    ),
    "numpy on Alpine": ({"platform": "alpine"}, NUMPY, "numpy-2.4.0-cp311-cp311-musllinux_1_2_x86_64.whl"),
    "numpy on a Mac": ({"platform": "mac"}, NUMPY, "numpy-2.4.0-cp311-cp311-macosx_14_0_arm64.whl"),
    "numpy on an older Mac": (
        {"platform": "mac-intel"},
        NUMPY,
        "numpy-2.4.0-cp311-cp311-macosx_10_15_x86_64.whl",
    ),
    "numpy on Windows": ({"platform": "windows"}, NUMPY, "numpy-2.4.0-cp311-cp311-win_amd64.whl"),
    "numpy on Windows on ARM": ({"platform": "windows-arm"}, NUMPY, "numpy-2.4.0-cp311-cp311-win_arm64.whl"),
    "numpy for free-threaded Python": (
        {"python": "3.14.2", "abi": "cp314t"},
        NUMPY,
        "numpy-2.4.0-cp314-cp314t-manylinux_2_27_x86_64.manylinux_2_28_x86_64.whl",
    ),
    "numpy for a Python that it does not know": ({"python": "3.15.0"}, NUMPY, None),
    "numpy on CentOS 7": ({"platform": "linux-ancient"}, NUMPY, None),
    "the stable ABI serves later Pythons": (
        {"python": "3.15.0"},
        ("psutil-7.1-cp36-abi3-manylinux2014_x86_64.whl", "psutil-7.1-cp37-abi3-win_amd64.whl"),
        "psutil-7.1-cp36-abi3-manylinux2014_x86_64.whl",
    ),
    "the stable ABI does not serve free-threaded Python": (
        {"python": "3.14.2", "abi": "cp314t"},
        ("psutil-7.1-cp36-abi3-manylinux2014_x86_64.whl",),
        None,
    ),
    "its own ABI before the stable one": (
        {},
        ("foo-1.0-cp39-abi3-manylinux2014_x86_64.whl", "foo-1.0-cp311-cp311-manylinux2014_x86_64.whl"),
        "foo-1.0-cp311-cp311-manylinux2014_x86_64.whl",
    ),
    "both Pythons": ({}, ("six-1.17.0-py2.py3-none-any.whl",), "six-1.17.0-py2.py3-none-any.whl"),
    "the old Python alone": ({}, ("six-1.17.0-py2-none-any.whl",), None),
    "a platform before any": (
        {},
        ("foo-1.0-py3-none-any.whl", "foo-1.0-py3-none-manylinux1_x86_64.whl"),
        "foo-1.0-py3-none-manylinux1_x86_64.whl",
    ),
    "a greater build number, as a number": (
        {},
        ("foo-1.0-2-py3-none-any.whl", "foo-1.0-10-py3-none-any.whl", "foo-1.0-9b-py3-none-any.whl"),
        "foo-1.0-10-py3-none-any.whl",
    ),
    "a build number before none": (
        {},
        ("foo-1.0-py3-none-any.whl", "foo-1.0-1-py3-none-any.whl"),
        "foo-1.0-1-py3-none-any.whl",
    ),
    "a better tag before a build number": (
        {},
        ("foo-1.0-9-py3-none-any.whl", "foo-1.0-cp311-cp311-linux_x86_64.whl"),
        "foo-1.0-cp311-cp311-linux_x86_64.whl",
    ),
    "a post-release": (
        {},
        ("foo-1.0.post1-py3-none-any.whl", "foo-1.0-py3-none-any.whl"),
        "foo-1.0.post1-py3-none-any.whl",
    ),
    "a greater label": (
        {},
        ("foo-1.0+local.2-py3-none-any.whl", "foo-1.0+local.10-py3-none-any.whl", "foo-1.0-py3-none-any.whl"),
        "foo-1.0+local.10-py3-none-any.whl",
    ),
    "torchvision beside torch for the CPU": (
        {},
        TORCHVISION,
        "torchvision-0.28.0+cpu-cp311-cp311-manylinux_2_28_x86_64.whl",
    ),
    "torchvision beside torch for CUDA 13": (
        {"torch": "2.13.0+cu130"},
        TORCHVISION,
        "torchvision-0.28.0+cu130-cp311-cp311-manylinux_2_28_x86_64.whl",
    ),
    "torchvision beside conda's torch": (
        {"torch": "2.13.0", "cuda": "12.8"},
        TORCHVISION,
        "torchvision-0.28.0+cu126-cp311-cp311-manylinux_2_28_x86_64.whl",
    ),
    "torchvision beside torch for ROCm": (
        {"torch": "2.13.0+rocm6.4"},
        TORCHVISION,
        "torchvision-0.28.0-cp311-cp311-manylinux_2_28_x86_64.whl",
    ),
    "a label like torch's in a project that is none of torch's": (
        {},
        ("llama_cpp-0.3+cu124-py3-none-any.whl",),
        "llama_cpp-0.3+cu124-py3-none-any.whl",
    ),
}


@pytest.mark.parametrize("name", TABLE)
def test_what_is_taken(name):
    machine, names, expected = TABLE[name]
    chosen = choose(make_env(**machine), make_files(*names)).chosen
    assert (chosen.filename if chosen else None) == expected


REASONS = {
    "another Python": ({}, "foo-1.0-cp312-cp312-win_amd64.whl", "built for win32 amd64, this is linux x86_64 (glibc)"),
    "another Python here": (
        {},
        "foo-1.0-cp312-cp312-manylinux2014_x86_64.whl",
        "built for cp312-cp312, this Python takes cp311-cp311",
    ),
    "free-threaded": (
        {"python": "3.14.2", "abi": "cp314t"},
        "foo-1.0-cp314-cp314-manylinux2014_x86_64.whl",
        "built for cp314-cp314, this Python takes cp314-cp314t",
    ),
    "a newer Mac": (
        {"platform": "mac"},
        "foo-1.0-cp311-cp311-macosx_15_0_arm64.whl",
        "needs macOS >= 15.0, found 14.0",
    ),
    "glibc of a compressed set": (
        {"platform": "linux-ancient"},
        "foo-1.0-cp311-cp311-manylinux_2_27_x86_64.manylinux_2_28_x86_64.whl",
        "needs glibc >= 2.27, found 2.17",
    ),
    "torchvision for another CUDA": (
        {"torch": "2.13.0+cu130"},
        "torchvision-0.28.0+cu126-py3-none-any.whl",
        "built for CUDA 12, torch is built for CUDA 13.0",
    ),
    "torchvision for the CPU": (
        {"torch": "2.13.0+cu130"},
        "torchvision-0.28.0+cpu-py3-none-any.whl",
        "built for the CPU, torch is built for CUDA 13.0",
    ),
    "the old Python": ({}, "six-1.0-py2-none-any.whl", "built for py2-none, this Python takes cp311-cp311"),
}


@pytest.mark.parametrize("name", REASONS)
def test_why_it_is_not_taken(name):
    machine, wheel, reason = REASONS[name]
    selection = choose(make_env(**machine), make_files(wheel))
    assert [each.reason for each in selection.rejected] == [reason]


def test_yanked_files_are_taken_where_their_version_was_named():
    files = make_files("foo-1.0-py3-none-any.whl", "foo-2.0-py3-none-any.whl", yanked=["foo-2.0-py3-none-any.whl"])
    assert choose(make_env(), files).chosen.version == "1.0"
    assert choose(make_env(), files, takes_yanked=True).chosen.version == "2.0"


@pytest.mark.parametrize(
    ("requires", "fits"), [(">=3.9", True), ("<3.11", False), (">=3.6.*", True), ("three", True), (">=3.11.8", False)]
)
def test_requires_python_that_cannot_be_read_is_passed_over_as_pip_does(requires, fits):
    files = make_files("foo-1.0-py3-none-any.whl", requires_python=requires)
    assert (choose(make_env(), files).chosen is not None) == fits


def test_a_refusal_of_thousands_of_files_is_short_and_its_details_are_whole():
    files = make_files(
        *(f"foo-{minor}.{patch}-cp312-cp312-win_amd64.whl" for minor in range(50) for patch in range(20))
    )
    error = refusal(make_env(), "foo", choose(make_env(), files), wanted="foo")
    assert len(error.causes) == 13
    assert error.causes[1].split()[0] == "49.19"
    assert error.causes[-1] == "  and 989 more; all with their reasons: `--json`"
    assert len(error.details["candidates"]) == 1000


def test_a_compiled_build_of_another_version_counts_where_the_caller_says_so(file):
    pure, older = file("0.4.0 python any"), file("0.3.0 cpu x86")
    env = make_env()
    assert choose(env, [pure]).chosen == pure
    assert choose(env, [pure], has_compiled=has_compiled_here(env, [pure, older])).chosen is None
    assert not has_compiled_here(make_env(platform="alpine"), [pure, older])


PLATFORMS = [
    "any",
    "manylinux2014_x86_64",
    "manylinux_2_28_x86_64",
    "manylinux_2_17_x86_64.manylinux2014_x86_64",
    "win_amd64",
]
NAMES = st.builds(
    "foo-{}{}-{}-{}.whl".format,
    st.sampled_from(["1.0", "1.0.0", "1.1", "1.10", "2.0rc1", "1.0+a", "1.0+a.2", "1!0.1", "1.1.post1", "2.0.dev3"]),
    st.sampled_from(["", "-1", "-2", "-10", "-2a"]),
    st.sampled_from(
        ["cp311-cp311", "cp39-abi3", "py3-none", "py2.py3-none", "cp312-cp312", "cp311-none", "py311-none"]
    ),
    st.sampled_from(PLATFORMS),
)


@given(st.lists(NAMES, min_size=1, max_size=12, unique=True))
def test_the_choice_is_the_one_that_packagings_own_parts_make(names):
    env = make_env()
    ranks = {Tag(*tag.split("-", 2)): place for place, tag in enumerate(supported_tags(env))}

    def key(name):
        _, version, build, tags = parse_wheel_filename(name)
        return (not version.is_prerelease, version, -min(ranks.get(tag, 10**6) for tag in tags), build or (-1, ""))

    fitting = [name for name in names if any(tag in ranks for tag in parse_wheel_filename(name)[3])]
    chosen = choose(env, make_files(*names)).chosen
    if not fitting:
        assert chosen is None
    else:
        assert key(chosen.filename) == max(map(key, fitting))

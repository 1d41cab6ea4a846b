"""What never gets into an index: source distributions that compile, wheels that are not what they say."""

from __future__ import annotations

import gzip
import io
import os
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_elf import elf_library
from tiny_wheels import OPS_BUILD, write_ops_wheel, write_wheel

from mimctl.errors import MimctlError
from mimctl.site import sdist
from mimctl.site.build import SiteReport
from mimctl.site.entry import check_filename

Build = Callable[..., SiteReport]

PURE = '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'


def write_sdist(folder: Path, name: str, members: Mapping[str, str]) -> Path:
    """Write a source distribution with the given files below its top folder."""
    folder.mkdir(exist_ok=True)
    path = folder / name
    top = name.removesuffix(".tar.gz").removesuffix(".zip")
    files = {f"{top}/{inside}": text.encode() for inside, text in {"PKG-INFO": "Name: x\n", **members}.items()}
    if name.endswith(".zip"):
        with zipfile.ZipFile(path, "w") as archive:
            for inside, data in files.items():
                archive.writestr(inside, data)
        return path
    with tarfile.open(path, "w:gz") as tar:
        for inside, data in files.items():
            info = tarfile.TarInfo(inside)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def system(requires: str, backend: str) -> str:
    return f"[build-system]\nrequires = ['{requires}']\nbuild-backend = '{backend}'\n"


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ({"pyproject.toml": system("scikit-build-core>=0.10", "scikit_build_core.build")}, "scikit_build_core.build"),
        ({"pyproject.toml": system("maturin", "maturin")}, "maturin"),
        ({"pyproject.toml": system("meson-python", "mesonpy")}, "mesonpy"),
        ({"pyproject.toml": '[build-system]\nrequires = ["setuptools", "Cython>=3"]\n'}, "Cython>=3"),
        ({"setup.py": "setup(ext_modules=[CUDAExtension('x', ['x.cu'])])"}, "setup.py builds an extension"),
        ({"setup.py": "setup()", "src/kernel.cu": "__global__"}, "src/kernel.cu"),
        ({"pyproject.toml": "[build-system"}, "pyproject.toml cannot be read"),
        ({"pyproject.toml": "build-system = 3"}, "no usable"),
    ],
)
@pytest.mark.parametrize("ending", [".tar.gz", ".zip"])
def test_sources_of_a_compiled_package_are_refused(
    build: Build, tmp_path: Path, members: Mapping[str, str], reason: str, ending: str
) -> None:
    folder = write_wheel(tmp_path / "wheels", "other-1.0-py3-none-any.whl").parent
    write_sdist(folder, f"thing-1.0{ending}", members)
    with pytest.raises(MimctlError) as caught:
        build(tmp_path / "site", folder)
    assert caught.value.code == "sdist"
    assert reason in caught.value.causes[0]
    assert not (tmp_path / "site").exists()


def test_sources_of_a_project_with_compiled_wheels_are_refused(build: Build, tmp_path: Path) -> None:
    folder = write_ops_wheel(tmp_path / "wheels").parent
    path = write_sdist(tmp_path / "sources", "mimctl_ops-0.1.0.tar.gz", {"pyproject.toml": PURE})
    with pytest.raises(MimctlError) as caught:
        build(tmp_path / "site", folder, path)
    assert (caught.value.code, caught.value.causes[0]) == ("sdist", "mimctl-ops has compiled wheels")


def test_sources_of_a_pure_package_are_passed_over(build: Build, tmp_path: Path) -> None:
    folder = write_wheel(tmp_path / "wheels").parent
    path = write_sdist(folder, "mimctl_det-0.1.0.tar.gz", {"pyproject.toml": PURE, "tests/data/x.c": "int x;"})
    (folder / "photos.zip").write_bytes(b"no sources")
    report = build(tmp_path / "site", folder)
    assert report.left_out == (path,)
    assert not list((tmp_path / "site").rglob("*.tar.gz"))


@pytest.mark.parametrize(
    "data", [b"", b"no archive", gzip.compress(b"no tar" * 300, mtime=0), b"\x1f\x8b\x08\0" + b"\0" * 99]
)
def test_sources_that_cannot_be_read_are_refused(build: Build, tmp_path: Path, data: bytes) -> None:
    folder = write_wheel(tmp_path / "wheels").parent
    (folder / "thing-1.0.tar.gz").write_bytes(data)
    with pytest.raises(MimctlError) as caught:
        build(tmp_path / "site", folder)
    assert caught.value.code == "sdist"
    assert caught.value.causes[0].startswith("it cannot be read")


def test_sources_that_unpack_without_end_are_not_read_to_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sdist, "MAX_UNPACKED_BYTES", 1 << 20)
    path = write_sdist(tmp_path, "thing-1.0.tar.gz", {"zeros": "\0" * (4 << 20)})
    assert path.stat().st_size < 10_000
    with pytest.raises(MimctlError, match=r"thing-1\.0") as caught:
        sdist.check_sdist(path, frozenset())
    assert "unpacks to more than" in caught.value.causes[0]


@given(st.binary(max_size=400), st.sampled_from(["thing-1.0.tar.gz", "thing-1.0.zip"]), st.integers(0, 300))
@settings(max_examples=100, deadline=None)
def test_damaged_sources_never_crash(
    tmp_path_factory: pytest.TempPathFactory, noise: bytes, name: str, at: int
) -> None:
    path = write_sdist(tmp_path_factory.mktemp("sdist"), name, {"pyproject.toml": PURE})
    data = path.read_bytes()
    path.write_bytes(data[:at] + noise + data[at + len(noise) :])
    try:
        sdist.check_sdist(path, frozenset())
    except MimctlError as err:
        assert err.code == "sdist"


def test_a_wheel_that_fails_its_audit_is_refused(build: Build, tmp_path: Path) -> None:
    foreign = {"mimctl_ops/_mimctl_ops.so": elf_library(("libcudart.so.13",))}
    name = "mimctl_ops-0.1.0-py3-none-manylinux_2_34_x86_64.whl"
    header = "Requires-Dist: torch>=2.10"
    write_wheel(tmp_path / "wheels", name, build=OPS_BUILD, extra=foreign, metadata=header)
    with pytest.raises(MimctlError) as caught:
        build(tmp_path / "site", tmp_path / "wheels")
    assert caught.value.code == "wheel-audit"
    assert "libcudart.so.13" in caught.value.causes[0]


@pytest.mark.parametrize("label", ["cu13", "cpu1", "python"])
def test_a_label_is_the_backend_of_the_wheel(build: Build, tmp_path: Path, label: str) -> None:
    write_ops_wheel(tmp_path / "wheels", "cpu", version=f"0.1.0+{label}")
    with pytest.raises(MimctlError) as caught:
        build(tmp_path / "site", tmp_path / "wheels")
    assert caught.value.code == "wheel-label"
    assert caught.value.causes == (f"its version has the label `{label}`, the wheel was built for `cpu`",)


def test_a_compiled_wheel_with_a_label_says_its_backend(build: Build, tmp_path: Path) -> None:
    write_wheel(tmp_path / "wheels", "mimctl_ops-0.1.0+cpu-py3-none-manylinux_2_34_x86_64.whl")
    with pytest.raises(MimctlError, match="not for the backend"):
        build(tmp_path / "site", tmp_path / "wheels")


def test_a_pure_wheel_of_a_commit_stands_in_index_json_only(build: Build, tmp_path: Path) -> None:
    path = write_wheel(tmp_path / "wheels", "mimctl_det-0.1.dev3+g1a2b3c4-py3-none-any.whl")
    report = build(tmp_path / "site", path.parent)
    assert report.unlisted == report.files == (path.name,)
    assert not (tmp_path / "site/simple/mimctl-det").exists()


def test_what_is_no_file_is_no_wheel(build: Build, tmp_path: Path) -> None:
    folder = write_wheel(tmp_path / "wheels").parent
    path = folder / "mimctl_det-0.1.0-py3-none-any.whl"
    os.mkfifo(path)
    with pytest.raises(MimctlError) as caught:
        build(tmp_path / "site", folder)
    assert (caught.value.code, caught.value.causes) == ("bad-wheel", ("it is no plain file",))
    with pytest.raises(MimctlError) as caught:
        build(tmp_path / "site", Path(__file__))
    assert caught.value.code == "no-wheels"


@given(st.text(max_size=60))
@settings(max_examples=200, deadline=None)
def test_no_name_of_a_wheel_leaves_its_folder(text: str) -> None:
    for name in (text, f"{text}-1.0-py3-none-any.whl", f"x-1.0-py3-none-{text}.whl"):
        try:
            check_filename(name)
        except MimctlError as err:
            assert err.code == "bad-wheel"
        else:
            assert Path(name).name == name
            assert name.isascii()
            assert name.isprintable()

"""The audit of compiled libraries, against libraries made by the compiler at hand."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mimctl.errors import IntegrityError, MimctlError
from mimctl.wheels.audit import audit_libraries
from mimctl.wheels.elf import read_needs


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("g++") is None:
        pytest.skip("no C++ compiler")
    return tmp_path_factory.mktemp("libraries")


def library(folder: Path, name: str, source: str, *flags: str) -> bytes:
    target = folder / name
    target.with_suffix(".cpp").write_text(source, encoding="utf-8")
    argv = ["g++", "-shared", "-fPIC", "-o", str(target), str(target.with_suffix(".cpp")), *flags]
    subprocess.run(argv, check=True)
    return target.read_bytes()


def test_needs_are_those_that_readelf_names(folder: Path) -> None:
    data = library(folder, "text.so", "#include <string>\nstd::string f(int x) { return std::to_string(x) + 'a'; }\n")
    needs = read_needs(data, "text.so")
    if shutil.which("readelf"):
        shown = subprocess.run(["readelf", "-dV", str(folder / "text.so")], capture_output=True, text=True, check=True)
        for word in (*needs.libraries, *needs.versions):
            assert word in shown.stdout
    assert "libstdc++.so.6" in needs.libraries
    assert any(version.startswith("GLIBCXX_") for version in needs.versions)


def test_a_plain_library_gets_an_old_generation(folder: Path) -> None:
    data = library(folder, "plain.so", 'extern "C" int f(int x) { return x + 1; }')
    assert audit_libraries([("plain.so", data)]).glibc == "2.17"


def test_a_foreign_library_a_python_symbol_and_a_torch_class_are_refused(folder: Path) -> None:
    library(folder, "libforeign.so", 'extern "C" int g() { return 1; }', "-Wl,-soname,libforeign.so")
    source = """
    namespace c10 { struct Scalar { long to(); }; }
    extern "C" int Py_IsInitialized();
    extern "C" int g();
    long f(c10::Scalar& s) { return s.to() + Py_IsInitialized() + g(); }
    """
    data = library(folder, "bad.so", source, str(folder / "libforeign.so"), "-Wl,-rpath,/home/somebody/lib")
    with pytest.raises(MimctlError) as caught:
        audit_libraries([("bad.so", data)])
    assert caught.value.code == "wheel-audit"
    text = "\n".join(caught.value.causes)
    assert "needs the library libforeign.so" in text
    assert "looks for libraries in /home/somebody/lib" in text
    assert "unstable symbol Py_IsInitialized" in text
    assert "unstable symbol _ZN3c106Scalar2toEv" in text


def test_a_library_of_the_same_wheel_is_allowed(folder: Path) -> None:
    library(folder, "libmine.so", 'extern "C" int g() { return 1; }', "-Wl,-soname,libmine.so")
    data = library(folder, "user.so", 'extern "C" int g(); int f() { return g(); }', str(folder / "libmine.so"))
    assert "libmine.so" in audit_libraries([("user.so", data)], own=["libmine.so"]).libraries


@given(st.binary(max_size=300), st.integers(0, 400))
@settings(max_examples=200, deadline=None)
def test_damaged_libraries_are_refused_and_never_crash(noise: bytes, position: int) -> None:
    sample = Path(sys.executable).resolve().read_bytes()[:4096]
    data = sample[:position] + noise + sample[position + len(noise) :]
    with pytest.raises(IntegrityError):
        read_needs(data, "noise")

"""The audit of compiled libraries, against libraries made by the compiler at hand."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_elf import SHIM, elf_library, fat_binary
from tiny_wheels import write_wheel

from mimctl.errors import IntegrityError, MimctlError
from mimctl.wheels.audit import AuditReport, audit_libraries, audit_wheel
from mimctl.wheels.elf import Symbol, read_needs
from mimctl.wheels.fatbin import GpuCode, read_gpu_code


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
    mine = library(folder, "libmine.so", 'extern "C" int g() { return 1; }', "-Wl,-soname,libmine.so")
    data = library(folder, "user.so", 'extern "C" int g(); int f() { return g(); }', str(folder / "libmine.so"))
    found = audit_libraries([("x/user.so", data), ("x/libmine.so", mine)])
    assert "libmine.so" in found.libraries
    with pytest.raises(MimctlError, match="would not load"):
        audit_libraries([("x/user.so", data)])


@given(st.binary(max_size=300), st.integers(0, 400))
@settings(max_examples=200, deadline=None)
def test_damaged_libraries_are_refused_and_never_crash(noise: bytes, position: int) -> None:
    sample = Path(sys.executable).resolve().read_bytes()[:4096]
    data = sample[:position] + noise + sample[position + len(noise) :]
    with pytest.raises(IntegrityError):
        read_needs(data, "noise")


FAT = {
    "backend": "cu13",
    "toolkit": "13.0",
    "min_torch": "2.10",
    "min_driver": "580",
    "archs": ["7.5", "9.0"],
    "ptx": ["9.0"],
    "ops": ["nms"],
}
CPU = {**FAT, "backend": "cpu", "toolkit": None, "min_driver": None, "archs": [], "ptx": []}
CODE = fat_binary(("7.5", "9.0"), ("7.5", "9.0", "PTX 9.0"), ("7.5", "9.0", "PTX 9.0"))


def wheel(
    folder: Path,
    library: bytes | None = None,
    *,
    platform: str = "manylinux_2_28_x86_64",
    build: dict[str, object] = CPU,
    metadata: str = "Requires-Dist: torch>=2.10",
) -> Path:
    """Write a wheel of operators with one library."""
    name = f"mimctl_ops-0.1.0-py3-none-{platform}.whl"
    extra = {} if library is None else {"mimctl_ops/_mimctl_ops.so": library}
    return write_wheel(folder, name, metadata=metadata, build=build, extra=extra)


def causes(path: Path, **options: object) -> list[str]:
    """Return why a wheel is refused."""
    with pytest.raises(MimctlError) as caught:
        audit_wheel(path, **options)
    assert caught.value.code == "wheel-audit"
    return list(caught.value.causes)


def test_a_wheel_that_keeps_its_promises_is_described(tmp_path: Path) -> None:
    library = elf_library(weak=["aoti_torch_get_current_cuda_stream"], gpu=CODE)
    report = audit_wheel(wheel(tmp_path, library, build=FAT))
    assert isinstance(report, AuditReport)
    assert (report.backend, report.min_torch, report.archs, report.ptx) == ("cu13", "2.10", ("7.5", "9.0"), ("9.0",))
    assert (report.platforms, report.glibc, report.needed_glibc) == (("manylinux_2_28_x86_64",), "2.17", "2.14")
    (only,) = report.libraries
    assert only.torch_symbols == ("aoti_torch_get_current_cuda_stream", SHIM)
    assert only.weak_symbols == ("aoti_torch_get_current_cuda_stream",)
    assert only.libraries == ("libtorch.so", "libc.so.6")


def test_a_wheel_without_libraries_has_nothing_to_prove(tmp_path: Path) -> None:
    report = audit_wheel(write_wheel(tmp_path, "pure-1.0-py3-none-any.whl"))
    assert (report.glibc, report.backend, report.libraries) == (None, None, ())
    python = {**CPU, "backend": "python"}
    assert audit_wheel(wheel(tmp_path, platform="any", build=python)).backend == "python"


@pytest.mark.parametrize(
    ("library", "cause"),
    [
        (elf_library(("libtorch_cuda.so",)), "needs the library libtorch_cuda.so"),
        (elf_library(("libcudart.so.13",)), "needs the library libcudart.so.13"),
        (elf_library(run_path="$ORIGIN:/opt/lib"), "looks for libraries in $ORIGIN:/opt/lib"),
        (elf_library(run_path="$ORIGINAL"), "looks for libraries in $ORIGINAL"),
        (elf_library(stack=7), "asks for an executable stack"),
        (elf_library(stack=None), "asks for an executable stack"),
        (elf_library(text_relocations=True), "text relocations"),
        (elf_library(undefined={"_ZN3c106Scalar2toEv": None}), "needs the unstable symbol _ZN3c106Scalar2toEv"),
        (elf_library(weak=["_ZN2at6detail3getEv"]), "needs the unstable symbol _ZN2at6detail3getEv"),
        (elf_library(undefined={"PyList_New": None}), "needs the unstable symbol PyList_New"),
        (elf_library(undefined={"fancy_sort": None}), "promises: fancy_sort"),
        (elf_library(undefined={"__libc_secret": "GLIBC_PRIVATE"}), "promises: __libc_secret@GLIBC_PRIVATE"),
        (elf_library(undefined={"omp_get": "OMP_1.0"}), "promises: omp_get@OMP_1.0"),
        (elf_library(exports=["cudaMalloc"]), "exports cudaMalloc"),
        (elf_library(text=b"at /home/eve/ops/nms.cpp:7"), "built it: /home/eve/ops/nms.cpp"),
        (elf_library(text=b"\0/x/lib/python3.11/site-packages/torch/h.h"), "site-packages/torch/h.h"),
        (elf_library(undefined={"newer": "GLIBC_2.34"}), "needs glibc >= 2.34, its name promises 2.28"),
        (elf_library(undefined={"newest": "GLIBCXX_3.4.99"}), "needed: GLIBCXX 3.4.99"),
        (elf_library(machine="aarch64"), "is for aarch64, its name says x86_64"),
        (elf_library(gpu=CODE), "its build.json says archs none; its libraries have 7.5, 9.0"),
        (None, "its backend is cpu, but it holds no compiled library"),
    ],
)
def test_a_surprise_in_a_library_is_refused(tmp_path: Path, library: bytes | None, cause: str) -> None:
    found = causes(wheel(tmp_path, library))
    assert any(cause in each for each in found), found


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        ({"archs": ["7.5"]}, "its build.json says archs 7.5; its libraries have 7.5, 9.0"),
        ({"archs": ["7.5", "9.0", "9.0"]}, "its build.json says archs 7.5, 9.0, 9.0"),
        ({"ptx": ["12.0"]}, "its build.json says ptx 12.0; its libraries have 9.0"),
        ({"archs": "7.5"}, "its build.json has a wrong `archs`"),
        ({"toolkit": "12.6"}, "its backend is cu13, but its toolkit is 12.6"),
        ({"min_driver": None}, "it names no `min_driver`"),
        ({"min_torch": "2.11"}, "its build.json says torch >= 2.11, its requirements say torch >= 2.10"),
        ({"min_torch": 2.1}, "its build.json has a wrong `min_torch`"),
        ({"backend": "python"}, "its backend is python, but it holds the compiled library"),
    ],
)
def test_a_build_json_that_says_something_else_is_refused(
    tmp_path: Path, change: dict[str, object], cause: str
) -> None:
    found = causes(wheel(tmp_path, elf_library(gpu=CODE), build={**FAT, **change}))
    assert any(cause in each for each in found), found


def test_gpu_code_that_only_some_operators_have_is_refused(tmp_path: Path) -> None:
    some = fat_binary(("7.5", "9.0", "PTX 9.0"), ("9.0", "PTX 9.0"))
    found = causes(wheel(tmp_path, elf_library(gpu=some), build=FAT))
    assert "only some parts of mimctl_ops/_mimctl_ops.so have code for 7.5" in found
    found = causes(wheel(tmp_path, elf_library(), build={**FAT, "archs": [], "ptx": []}))
    assert "its backend is cu13, but it holds no GPU code" in found


def test_a_name_that_promises_nothing_is_refused(tmp_path: Path) -> None:
    assert "anywhere" in causes(wheel(tmp_path, elf_library(), platform="any"))[0]
    assert "only manylinux tags" in causes(wheel(tmp_path, elf_library(), platform="linux_x86_64"))[0]
    newer = elf_library(undefined={"f": "GLIBC_2.18"})
    assert "promises 2.17" in causes(wheel(tmp_path, newer, platform="manylinux2014_x86_64"))[0]


def test_a_wheel_that_lets_an_older_torch_in_is_refused(tmp_path: Path) -> None:
    for metadata, said in (("Requires-Dist: torch>=2.6", "torch >= 2.6"), ("", "no torch")):
        found = causes(wheel(tmp_path, elf_library(), metadata=metadata))
        assert found == [f"its build.json says torch >= 2.10, its requirements say {said}"]


def test_a_folder_of_the_build_must_not_be_mentioned(tmp_path: Path) -> None:
    path = wheel(tmp_path, elf_library(text=b"/odd/place/nms.cpp"))
    audit_wheel(path)
    assert "built it: /odd/place" in causes(path, build_places=[Path("/odd/place")])[0]


def test_a_wheel_for_one_python_may_use_its_interface(tmp_path: Path) -> None:
    library = elf_library(undefined={"PyList_New": None, SHIM: None})
    path = write_wheel(tmp_path, "ext-1.0-cp311-cp311-manylinux_2_28_x86_64.whl", extra={"ext.so": library})
    assert audit_wheel(path).glibc == "2.17"


def test_symbols_carry_the_version_that_they_are_bound_to() -> None:
    needs = read_needs(elf_library(undefined={"a": "GLIBC_2.14", "b": None, "c": "GCC_3.0"}, weak=["w"]), "x")
    assert needs.undefined == (
        Symbol(name="a", version="GLIBC_2.14", is_weak=False),
        Symbol(name="b", version=None, is_weak=False),
        Symbol(name="c", version="GCC_3.0", is_weak=False),
        Symbol(name="w", version=None, is_weak=True),
    )
    assert (needs.machine, needs.versions) == ("x86_64", ("GCC_3.0", "GLIBC_2.14"))


def test_gpu_code_is_that_of_every_part() -> None:
    data = elf_library(gpu=fat_binary(("8.0", "9.0a"), ("8.0", "9.0a", "PTX 12.0")) + bytes(16) + fat_binary(("8.0",)))
    found = read_gpu_code(data, "x")
    assert found == GpuCode(archs=("8.0",), ptx=(), partial=("9.0a", "PTX 12.0"))
    assert read_gpu_code(elf_library(), "x") == GpuCode()


@given(st.binary(max_size=60), st.integers(0, 400))
@settings(max_examples=200, deadline=None)
def test_damaged_gpu_code_is_refused_or_read_and_never_crashes(noise: bytes, position: int) -> None:
    code = CODE[:position] + noise + CODE[position + len(noise) :]
    try:
        read_gpu_code(elf_library(gpu=code), "noise")
    except IntegrityError as err:
        assert err.code == "bad-wheel"


@given(st.binary(min_size=1, max_size=40), st.integers(0, 900))
@settings(max_examples=300, deadline=None)
def test_a_library_with_damaged_tables_never_crashes_the_audit(noise: bytes, position: int) -> None:
    sample = elf_library(gpu=CODE, weak=["w"], exports=["e"])
    data = sample[:position] + noise + sample[position + len(noise) :]
    try:
        read_needs(data, "noise")
        read_gpu_code(data, "noise")
    except IntegrityError as err:
        assert err.code == "bad-wheel"


@pytest.mark.skipif(shutil.which("nvcc") is None, reason="needs nvcc")
@pytest.mark.parametrize("flags", [(), ("-Xfatbin", "-compress-all"), ("--compress-mode=size",)])
def test_what_nvcc_writes_is_read(tmp_path: Path, flags: tuple[str, ...]) -> None:
    for name in ("one", "two"):
        source = f"__global__ void {name}(float* x) {{ x[threadIdx.x] *= 2; }}"
        (tmp_path / f"{name}.cu").write_text(source, encoding="utf-8")
    argv = ["nvcc", "-shared", "-Xcompiler", "-fPIC", "-cudart", "static", *flags, "-o", str(tmp_path / "lib.so")]
    argv += ["-gencode", "arch=compute_75,code=sm_75", "-gencode", "arch=compute_90a,code=sm_90a"]
    argv += ["-gencode", "arch=compute_120,code=[sm_120,compute_120]"]
    subprocess.run([*argv, str(tmp_path / "one.cu"), str(tmp_path / "two.cu")], check=True)
    found = read_gpu_code((tmp_path / "lib.so").read_bytes(), "lib.so")
    assert found == GpuCode(archs=("7.5", "9.0a", "12.0"), ptx=("12.0",))

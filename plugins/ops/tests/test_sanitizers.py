"""The CPU half, built with AddressSanitizer and UndefinedBehaviorSanitizer, passes the tests of all operators silently.

Only from the source tree, and only where there is what the library is built with.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[1]
# Tests of loading start interpreters with other libraries; those of CUDA compile a library of their own.
LEFT_OUT = {"test_library.py", "test_cuda_on_cpu.py", Path(__file__).name}


def tool(name: str) -> str:
    found = shutil.which(name, path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    if found is None:
        pytest.skip(f"no {name}")
    return found


def preloaded() -> str:
    """Return what must be loaded first: the sanitizer, and the library whose exceptions it follows."""
    paths = [
        subprocess.run([tool("g++"), f"-print-file-name={name}"], capture_output=True, text=True, check=True).stdout
        for name in ("libasan.so", "libstdc++.so.6")
    ]
    if not all(Path(each.strip()).is_absolute() for each in paths):
        pytest.skip("g++ has no libasan")
    return " ".join(each.strip() for each in paths)


def build(folder: Path) -> None:
    """Put a copy of the package with the library in it into `folder`."""
    configure = [tool("cmake"), "-G", "Ninja", f"-DCMAKE_MAKE_PROGRAM={tool('ninja')}", "-DCMAKE_CXX_COMPILER=g++"]
    options = ["-DCMAKE_BUILD_TYPE=Release", "-DMIMCTL_OPS_SANITIZE=address,undefined"]
    built = folder / "build"
    env = os.environ | {"MIMCTL_OPS_BACKEND": "cpu"}
    for argv in (
        [*configure, *options, f"-DPython_EXECUTABLE={sys.executable}", "-S", str(SOURCE), "-B", str(built)],
        [tool("ninja"), "-C", str(built)],
    ):
        done = subprocess.run(argv, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    package = folder / "mimctl_ops"
    shutil.copytree(SOURCE / "mimctl_ops", package, ignore=shutil.ignore_patterns("__pycache__", "*.so"))
    for name in ("build.json", "_mimctl_ops.so"):
        shutil.copyfile(built / name, package / name)


@pytest.mark.slow
@pytest.mark.skipif(not (SOURCE / "csrc" / "cpu").is_dir(), reason="needs the source tree")
def test_the_tests_of_all_operators_give_no_report(tmp_path: Path) -> None:
    libraries = preloaded()
    build(tmp_path)
    tests = sorted(each for each in SOURCE.glob("tests/test_*.py") if each.name not in LEFT_OUT)
    # Huge allocations must fail as they do elsewhere; leaks are the interpreter's.
    asan = f"detect_leaks=0:allocator_may_return_null=1:log_path={tmp_path}/asan"
    ubsan = f"print_stacktrace=1:log_path={tmp_path}/ubsan"
    env = {key: value for key, value in os.environ.items() if not key.startswith(("MIMCTL_OPS", "PYTEST_"))}
    env |= {"PYTHONPATH": str(tmp_path), "OMP_NUM_THREADS": "2", "LD_PRELOAD": libraries}
    env |= {"ASAN_OPTIONS": asan, "UBSAN_OPTIONS": ubsan}
    options = ["-q", "-m", "not slow", "--import-mode=importlib", "-p", "no:cacheprovider", "-c", os.devnull]
    roots = [f"--rootdir={SOURCE}", f"--confcutdir={SOURCE / 'tests'}"]
    argv = [sys.executable, "-P", "-m", "pytest", *options, *roots, *map(str, tests)]
    done = subprocess.run(argv, env=env, cwd=tmp_path, capture_output=True, text=True, check=False)
    reports = [path.read_text() for path in [*tmp_path.glob("asan.*"), *tmp_path.glob("ubsan.*")]]
    assert not reports, "\n".join(reports)[:20000]
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-4000:]
    status = "import mimctl_ops; print(mimctl_ops.status().tier)"
    found = subprocess.run(
        [sys.executable, "-P", "-c", status], env=env, cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == "compiled"

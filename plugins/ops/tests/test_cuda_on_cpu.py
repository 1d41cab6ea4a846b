"""The CUDA kernels, run on the CPU (see `cuda_on_cpu`), pass the tests that the CPU kernels pass."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from cuda_on_cpu import EMULATOR, build_package, compile_unit, link, translate

OPS = Path(__file__).resolve().parent.parent
TESTS = sorted(
    path.name for path in OPS.glob("tests/test_*.py") if path.stem not in ("test_library", "test_cuda_on_cpu")
)
# Minutes here without telling more than the rest does; and what CUDA does otherwise: it keeps columns in the half type,
# and does not wait for the numbers of images to refuse them.
LEFT_OUT = (
    "beyond_16_bits",
    "finite_differences",
    "checks_of_torch",
    "opcheck",
    "compiles",
    "(test_deform_conv2d and half_precision)",
    "refused_on_the_cpu",
)
needs_sources = pytest.mark.skipif(
    shutil.which("c++") is None or not (OPS / "csrc").is_dir(), reason="needs the sources and a compiler"
)


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_package(OPS, Path(torch.__file__).parent, tmp_path_factory.mktemp("cuda_on_cpu"))


@needs_sources
@pytest.mark.slow
def test_every_cuda_kernel_is_there(package: Path) -> None:
    declared = {
        name
        for path in (OPS / "csrc" / "cuda").glob("*.cu")
        for name in re.findall(r'library\.impl\("(\w+)"', path.read_text(encoding="utf-8"))
    }
    program = (
        "import mimctl_ops, sys, torch; assert mimctl_ops.status().compiler == 'CUDA on the CPU';"
        "print(*[n for n in sys.argv[1:] if torch._C._dispatch_has_kernel_for_dispatch_key(f'mimctl_ops::{n}', 'CPU')])"
    )
    argv = [sys.executable, "-P", "-c", program, *declared]
    done = subprocess.run(
        argv, env=os.environ | {"PYTHONPATH": str(package)}, capture_output=True, text=True, check=True
    )
    assert set(done.stdout.split()) == declared
    assert declared


@needs_sources
@pytest.mark.slow
@pytest.mark.parametrize("order", ["reverse", "1"])
def test_cuda_kernels_pass_the_tests_of_their_operators(package: Path, order: str, tmp_path: Path) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers =\n    slow: takes minutes\n", encoding="utf-8")
    argv = [sys.executable, "-P", "-m", "pytest", "-q", "-c", str(tmp_path / "pytest.ini"), "--import-mode=importlib"]
    argv += [
        f"--rootdir={OPS}",
        f"--confcutdir={OPS / 'tests'}",
        "-p",
        "no:cacheprovider",
        "--show-capture=no",
        "--tb=short",
        "-m",
        "not slow",
    ]
    argv += ["-k", f"not ({' or '.join(LEFT_OUT)})"]
    environment = {"PYTHONPATH": str(package), "CUDA_ON_CPU_ORDER": order, "OMP_NUM_THREADS": "1", "MIMCTL_OPS": ""}
    done = subprocess.run(
        [*argv, *TESTS], cwd=OPS / "tests", env=os.environ | environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]


KERNELS = """
#include <cuda_runtime.h>
#include <cstdio>
#include <stdexcept>

constexpr int kSize = 64;

__global__ void reverse(int* numbers, bool waits) {
  __shared__ int copy[kSize];
  copy[threadIdx.x] = numbers[threadIdx.x];
  if (waits) {
    __syncthreads();
  }
  numbers[threadIdx.x] = copy[kSize - 1 - threadIdx.x];
}

template <typename T>
__global__ void sum(const T* numbers, T* out) {
  T number = numbers[blockIdx.x * blockDim.x + threadIdx.x];
  for (int distance = 16; distance > 0; distance /= 2) {
    number += __shfl_xor_sync(0xffffffff, number, distance);
  }
  if (threadIdx.x % 32 == 0) {
    atomicAdd(out, number);
  }
}

__global__ void part() {
  if (threadIdx.x != 3) {
    __syncthreads();
  }
}

__global__ void lanes() {
  if (threadIdx.x != 3) {
    __shfl_xor_sync(0xffffffff, 1, 1);
  }
}

template <typename Launch>
bool fails(const Launch& launch) {
  try {
    launch();
  } catch (const std::runtime_error&) {
    return true;
  }
  return false;
}

int main() {
  int numbers[kSize], others[kSize];
  double halves[2 * kSize], total = 0;
  for (int i = 0; i < kSize; ++i) {
    numbers[i] = i;
    others[i] = 100 + i;
    halves[i] = halves[kSize + i] = i / 2.0;
  }
  reverse<<<1, kSize, 0, nullptr>>>(numbers, true);
  reverse<<<1, kSize, 0, nullptr>>>(others, false);
  bool is_reversed = true, are_others = true;
  for (int i = 0; i < kSize; ++i) {
    is_reversed &= numbers[i] == kSize - 1 - i;
    are_others &= others[i] == 100 + kSize - 1 - i;
  }
  sum<double><<<dim3(2), kSize>>>(halves, &total);
  const bool fails_in_block = fails([] { part<<<1, kSize>>>(); }), fails_in_warp = fails([] { lanes<<<1, 32>>>(); });
  sum<double><<<1, 32>>>(halves, &total);
  reverse<<<0, kSize>>>(numbers, true);
  const bool is_refused = cudaGetLastError() != cudaSuccess;
  std::printf("%d %d %g %d %d %d", is_reversed, are_others, total, fails_in_block, fails_in_warp, is_refused);
}
"""


@needs_sources
def test_threads_wait_for_each_other_and_a_missing_barrier_shows(tmp_path: Path) -> None:
    (tmp_path / "kernels.cpp").write_text(translate(KERNELS), encoding="utf-8")
    units = tmp_path / "kernels.cpp", EMULATOR
    link(*(str(compile_unit(unit, tmp_path)) for unit in units), "-o", str(tmp_path / "kernels"))
    total = sum(range(64)) + sum(range(32)) / 2
    for order in ("forward", "reverse", "7"):
        environment = os.environ | {"CUDA_ON_CPU_ORDER": order}
        done = subprocess.run([tmp_path / "kernels"], env=environment, capture_output=True, text=True, check=True)
        assert done.stdout == f"1 0 {total:g} 1 1 1"

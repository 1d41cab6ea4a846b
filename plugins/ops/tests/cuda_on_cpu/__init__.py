"""Builds the CUDA kernels for the CPU, so that they can be run where there is no GPU: `build_package`.

Sources are translated (a launch is no C++) and compiled with the headers of this folder in place of CUDA's; then they
serve for tensors on the CPU in a copy of the package. `cuda_runtime.h` says how they run there. Rounding is like that
of the device, which fuses products with sums. Speed, registers, and what threads do at the very same time do not show.
"""

from __future__ import annotations

import json
import platform
import re
import shutil
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HEADERS = Path(__file__).resolve().parent
EMULATOR = HEADERS / "emulator.cpp"
_OPTIONS = ("-O1", "-std=c++17", "-fPIC", "-fvisibility=hidden", "-ffp-contract=fast")
_SANITIZE = ("-fsanitize=undefined", "-fno-sanitize-recover=undefined")
_CLOSING = {"(": ")", "[": "]", "{": "}"}
_NAME = re.compile(r"[\w:]*$")


def build_package(ops: Path, torch_package: Path, folder: Path) -> Path:
    """Build a copy of `ops/mimctl_ops` with the CUDA kernels as CPU kernels; return the folder that contains it."""
    sources = folder / "csrc"
    shutil.copytree(ops / "csrc", sources)
    for path in sources.glob("cuda/*"):
        translated = translate(path.read_text(encoding="utf-8"))
        path.with_suffix({".cu": ".cpp"}.get(path.suffix, path.suffix)).write_text(translated, encoding="utf-8")
    # The stable ABI of torch 2.10, as in CMakeLists.txt.
    flags = ["-DTORCH_TARGET_VERSION=0x020a000000000000", "-isystem", str(torch_package / "include")]
    units = [*sorted(sources.glob("cuda/*.cpp")), EMULATOR]
    with ThreadPoolExecutor(max_workers=2) as pool:
        objects = list(pool.map(lambda unit: compile_unit(unit, folder, *flags), units))
    package = folder / "package" / "mimctl_ops"
    shutil.copytree(ops / "mimctl_ops", package, ignore=shutil.ignore_patterns("__pycache__", "*.so"))
    libraries = [str(torch_package / "lib" / name) for name in ("libtorch.so", "libtorch_cpu.so")]
    link("-shared", *map(str, objects), *libraries, "-o", str(package / "_mimctl_ops.so"))
    facts = json.loads((package / "build.json").read_text(encoding="utf-8"))
    facts |= {"backend": "cpu", "min_torch": "2.10", "compiler": "CUDA on the CPU"}
    (package / "build.json").write_text(json.dumps(facts), encoding="utf-8")
    return package.parent


def compile_unit(source: Path, folder: Path, *flags: str) -> Path:
    """Compile one translated file; return the object file."""
    fuses = ["-mfma"] if platform.machine() in ("x86_64", "AMD64") else []
    output = folder / f"{source.stem}.o"
    _run("c++", *_OPTIONS, *fuses, *_SANITIZE, "-I", str(HEADERS), *flags, "-c", str(source), "-o", str(output))
    return output


def link(*arguments: str) -> None:
    """Link objects to what `arguments` ask for."""
    _run("c++", *_SANITIZE, *arguments)


def translate(source: str) -> str:
    """Make a CUDA source plain C++ that registers its kernels for the CPU."""
    source = source.replace("STABLE_TORCH_LIBRARY_IMPL(mimctl_ops, CUDA,", "STABLE_TORCH_LIBRARY_IMPL(mimctl_ops, CPU,")
    source = source.replace("torch::stable::accelerator::DeviceGuard", "cuda_on_cpu::DeviceGuard")
    while (place := source.find("<<<")) >= 0:
        begin = _start_of_callee(source, place)
        configuration, after = source[place + 3 : source.index(">>>", place)], source.index(">>>", place) + 3
        end = _closing(source, source.index("(", after))
        grid, block, *_ = _split(configuration)
        callee = source[begin:place].strip()
        parts = [grid, block, f"[&](auto... each) {{ {callee}(each...); }}", *_split(source[after:end].strip()[1:])]
        call = f"cuda_on_cpu::launch({', '.join(parts)})"
        source = source[:begin] + call + source[end + 1 :]
    return source


def _start_of_callee(source: str, end: int) -> int:
    """Return where the name before `end` begins, which may have template arguments."""
    begin = len(source[:end].rstrip())
    if source[begin - 1] == ">":
        depth = 0
        while True:
            begin -= 1
            depth += {">": 1, "<": -1}.get(source[begin], 0)
            if depth == 0:
                break
    found = _NAME.search(source[:begin])
    assert found is not None
    return found.start()


def _closing(source: str, opening: int) -> int:
    """Return where the bracket that opens at `opening` is closed."""
    depth = 0
    for i in range(opening, len(source)):
        depth += (source[i] in _CLOSING) - (source[i] in _CLOSING.values())
        if depth == 0:
            return i
    raise ValueError("a bracket is not closed")


def _split(arguments: str) -> Sequence[str]:
    """Split at the commas that are in no brackets."""
    parts, depth = [""], 0
    for letter in arguments:
        depth += (letter in _CLOSING) - (letter in _CLOSING.values())
        if letter == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return [part.strip() for part in parts if part.strip()]


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{command[0]} ended with {done.returncode}: {done.stderr[-4000:]}")

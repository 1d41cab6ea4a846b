"""Judges a finished wheel by what its libraries hold and need: whether it does what its name and build.json say."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mimctl.errors import MimctlError
from mimctl.wheels.elf import Needs, Symbol, read_needs
from mimctl.wheels.fatbin import GpuCode, read_gpu_code
from mimctl.wheels.generations import dotted, generation, needed_glibc, newest_versions, numbers, promise
from mimctl.wheels.stated import Stated, same_release
from mimctl.wheels.wheelfile import WheelFacts, read_wheel, shared_libraries

_LIBC = ("libc.so.6", "libm.so.6", "libdl.so.2", "librt.so.1", "libpthread.so.0")
_LOADERS = ("ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1")
_SYSTEM_LIBRARIES = frozenset((*_LIBC, *_LOADERS, "libgcc_s.so.1", "libstdc++.so.6"))
_TORCH_LIBRARIES = frozenset(("libtorch.so",))

TORCH_SHIM = re.compile(r"(?:aoti_)?torch_[a-z]\w*")
"""Names of the C functions that make up torch's stable ABI."""
_TORCH_CPP = re.compile(r"_ZN?K?[A-Z]*(?:2at|3c10|5torch|5caffe)")
_PYTHON = re.compile(r"_?Py[A-Z_]|_Py")
"""Neither torch's C++ interface nor Python's C interface is promised to stay from one release to the next."""
_SYSTEM_VERSION = re.compile(r"(?:GLIBC|GLIBCXX|CXXABI|GCC)_(?:ARM_|TM_)?\d[\d.]*")
_CUDA_RUNTIME = re.compile(r"(?:__)?cuda[A-Z]\w*")
_BUILD_PLACE = re.compile(
    rb"(?<![\w$%.~-])/(?:(?:home|root|tmp|var/tmp|work|workspace|builds?|project|scratch|mnt|Users|__w|github)"
    rb"/[\w.+@-][\w.+@/-]*|(?:[\w.+@-]+/)*(?:site|dist)-packages/[\w.+@/-]*)"
)
_MOST_NAMES = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """What compiled libraries need, and so which platform tag their wheel may bear."""

    glibc: str
    """The oldest distribution generation that serves, "2.34"."""
    needed_glibc: str
    """The newest symbol version of glibc itself that is needed, "2.32"."""
    libraries: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LibraryReport:
    """What one compiled library of a wheel holds and needs."""

    name: str
    """Its path in the wheel."""
    machine: str
    libraries: tuple[str, ...]
    """DT_NEEDED."""
    torch_symbols: tuple[str, ...]
    """Functions of torch's stable ABI that it calls."""
    weak_symbols: tuple[str, ...]
    """Symbols that it uses where they are and loads without."""
    gpu: GpuCode


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditReport:
    """A wheel that is what it says it is."""

    filename: str
    sha256: str
    project: str
    version: str
    backend: str | None
    platforms: tuple[str, ...]
    """Of its name: "any", "manylinux_2_28_x86_64"."""
    glibc: str | None
    """The oldest distribution generation that serves; None for a wheel without libraries."""
    needed_glibc: str | None
    min_torch: str | None
    """As build.json and the requirement on torch say."""
    archs: tuple[str, ...]
    ptx: tuple[str, ...]
    libraries: tuple[LibraryReport, ...]


@dataclass(frozen=True, slots=True)
class _Library:
    name: str
    data: bytes
    needs: Needs
    gpu: GpuCode


def audit_wheel(path: Path, *, facts: WheelFacts | None = None, build_places: Sequence[Path] = ()) -> AuditReport:
    """Prove of a finished wheel what its name, its requirements and its build.json say; reads the file only.

    `facts` is what `read_wheel` returned, where it is read already. `build_places` are folders of the machine that
    built it, which no library may mention; usual ones (homes, temporary folders, site-packages) are looked for anyway.
    Raises MimctlError[wheel-audit] with everything that is wrong, and IntegrityError[bad-wheel] where the file cannot
    be read.
    """
    facts = facts or read_wheel(path)
    libraries = [
        _Library(name, data, read_needs(data, name), read_gpu_code(data, name)) for name, data in shared_libraries(path)
    ]
    stated = Stated.of(facts)
    causes = [*stated.wrong]
    causes += _library_faults(libraries, for_python=not stated.abis <= {"none"})
    causes += [cause for each in libraries for cause in _build_paths(each, build_places)]
    causes += _platform_faults(stated, libraries)
    causes += _build_faults(stated, libraries)
    if causes:
        raise _refused(f"`{path.name}` is not what it says, or would not load on other machines", causes)
    newest = newest_versions(_versions(libraries))
    return AuditReport(
        filename=path.name,
        sha256=facts.sha256,
        project=facts.project,
        version=facts.version,
        backend=stated.backend,
        platforms=stated.platforms,
        glibc=generation(newest) if libraries else None,
        needed_glibc=needed_glibc(newest) if libraries else None,
        min_torch=stated.min_torch,
        archs=stated.archs,
        ptx=stated.ptx,
        libraries=tuple(_report(each) for each in libraries),
    )


def audit_libraries(libraries: Iterable[tuple[str, bytes]], *, for_python: bool = False) -> Audit:
    """Audit the shared libraries of one wheel, given as (name, bytes): which platform tag may it bear?

    `for_python` lets them use Python's C interface: the wheel is for one Python. Raises MimctlError[wheel-audit] for a
    library that no manylinux system offers, a search path or a symbol that is not kept stable, and
    IntegrityError[bad-wheel] for what is no library.
    """
    read = [_Library(name, data, read_needs(data, name), GpuCode()) for name, data in libraries]
    if causes := _library_faults(read, for_python=for_python):
        raise _refused("the wheel would not load on other machines", causes)
    newest = newest_versions(_versions(read))
    return Audit(
        glibc=generation(newest),
        needed_glibc=needed_glibc(newest),
        libraries=tuple(sorted({needed for each in read for needed in each.needs.libraries})),
    )


def _refused(message: str, causes: Sequence[str]) -> MimctlError:
    return MimctlError(
        message,
        code="wheel-audit",
        causes=list(causes),
        hints=["build operators on the LibTorch stable ABI only: docs/how-to/add-an-op.md"],
    )


def _report(library: _Library) -> LibraryReport:
    undefined = library.needs.undefined
    return LibraryReport(
        name=library.name,
        machine=library.needs.machine,
        libraries=library.needs.libraries,
        torch_symbols=tuple(each.name for each in undefined if TORCH_SHIM.fullmatch(each.name)),
        weak_symbols=tuple(each.name for each in undefined if each.is_weak and each.version is None),
        gpu=library.gpu,
    )


# What libraries may need


def _library_faults(libraries: Sequence[_Library], *, for_python: bool) -> list[str]:
    own_names = {Path(each.name).name for each in libraries}
    own_symbols = {symbol for each in libraries for symbol in each.needs.exports}
    faults = []
    for each in libraries:
        known = _SYSTEM_LIBRARIES | _TORCH_LIBRARIES | own_names
        needs, name = each.needs, each.name
        faults += [f"{name} needs the library {needed}" for needed in needs.libraries if needed not in known]
        faults += [f"{name} looks for libraries in {place}" for place in needs.run_paths if not _is_own(place)]
        if needs.has_executable_stack:
            faults.append(f"{name} asks for an executable stack")
        if needs.has_text_relocations:
            faults.append(f"{name} changes its code while it is loaded (text relocations)")
        faults += _symbol_faults(name, needs, own_symbols, for_python=for_python)
        faults += _at_most(f"{name} exports", [x for x in needs.exports if _CUDA_RUNTIME.fullmatch(x)])
    return faults


def _is_own(run_path: str) -> bool:
    """Return whether each place of a search path is relative to the library and stays in the environment."""
    return all(re.fullmatch(r"\$ORIGIN(?:/.*)?", place) for place in run_path.split(":"))


def _symbol_faults(name: str, needs: Needs, own: set[str], *, for_python: bool) -> list[str]:
    unstable, unknown = [], []
    for symbol in needs.undefined:
        if _TORCH_CPP.match(symbol.name) or (_PYTHON.match(symbol.name) and not for_python):
            unstable.append(symbol.name)
        elif not (symbol.is_weak or symbol.name in own or for_python or _is_promised(symbol)):
            unknown.append(f"{symbol.name}@{symbol.version}" if symbol.version else symbol.name)
    return [
        *_at_most(f"{name} needs the unstable symbol", unstable),
        *_at_most(f"{name} needs a symbol that neither the system nor torch's stable ABI promises:", unknown),
    ]


def _is_promised(symbol: Symbol) -> bool:
    if symbol.version is not None:
        return _SYSTEM_VERSION.fullmatch(symbol.version) is not None
    return TORCH_SHIM.fullmatch(symbol.name) is not None


def _at_most(text: str, names: Sequence[str]) -> list[str]:
    shown = [f"{text} {name}" for name in names[:_MOST_NAMES]]
    return shown + ([f"… and {len(names) - _MOST_NAMES} more"] if len(names) > _MOST_NAMES else [])


def _build_paths(library: _Library, places: Sequence[Path]) -> list[str]:
    found = {match[0].decode("ascii", "replace") for match in _BUILD_PLACE.finditer(library.data)}
    found |= {str(place) for place in places if str(place).encode() in library.data}
    return _at_most(f"{library.name} mentions a place of the machine that built it:", sorted(found))


# What the name promises


def _versions(libraries: Iterable[_Library]) -> set[str]:
    return {version for each in libraries for version in each.needs.versions}


def _platform_faults(stated: Stated, libraries: Sequence[_Library]) -> Iterator[str]:
    if not libraries:
        return
    try:
        least = numbers(generation(newest_versions(_versions(libraries))))
    except MimctlError as err:
        yield from err.causes
        return
    for platform in stated.platforms:
        if platform == "any":
            yield "it holds compiled libraries, but its name says that it runs anywhere"
            continue
        promised = promise(platform)
        if promised is None:
            yield f"its name says {platform}: only manylinux tags promise what can be checked"
            continue
        glibc, machine = promised
        if least > glibc:
            yield f"it needs glibc >= {dotted(least)}, its name promises {dotted(glibc)} ({platform})"
        yield from (
            f"{each.name} is for {each.needs.machine}, its name says {machine}"
            for each in libraries
            if each.needs.machine != machine
        )


# What build.json and the requirements say


def _build_faults(stated: Stated, libraries: Sequence[_Library]) -> Iterator[str]:
    backend = stated.backend
    if backend is None:
        return
    if backend == "python" and libraries:
        yield f"its backend is python, but it holds the compiled library {libraries[0].name}"
    if backend != "python" and not libraries:
        yield f"its backend is {backend}, but it holds no compiled library"
    if stated.min_torch is not None and not same_release(stated.min_torch, stated.required_torch):
        requirement = f"torch >= {stated.required_torch}" if stated.required_torch else "no torch"
        yield f"its build.json says torch >= {stated.min_torch}, its requirements say {requirement}"
    if libraries:
        yield from _gpu_faults(stated, libraries)


def _gpu_faults(stated: Stated, libraries: Sequence[_Library]) -> Iterator[str]:
    for each in libraries:
        yield from (f"only some parts of {each.name} have code for {arch}" for arch in each.gpu.partial)
    found = {"archs": {arch for each in libraries for arch in each.gpu.archs}}
    found["ptx"] = {arch for each in libraries for arch in each.gpu.ptx}
    for key, said in (("archs", stated.archs), ("ptx", stated.ptx)):
        if set(said) != found[key] or len(set(said)) != len(said):
            has = ", ".join(sorted(found[key])) or "none"
            yield f"its build.json says {key} {', '.join(said) or 'none'}; its libraries have {has}"
    cuda = re.fullmatch(r"cu(\d+)", stated.backend or "")
    if cuda is None:
        return
    if not found["archs"] | found["ptx"]:
        yield f"its backend is {stated.backend}, but it holds no GPU code"
    if (stated.toolkit or "").partition(".")[0] != cuda[1]:
        yield f"its backend is {stated.backend}, but its toolkit is {stated.toolkit}"
    if not stated.min_driver:
        yield f"its backend is {stated.backend}, but it names no `min_driver`"

"""`mimctl lock`: each environment gets its builds, what is locked stays, what cannot be locked is refused."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from resolution.made_catalog import MadeCatalog, make_wheel, wants

from mimctl.errors import MimctlError, UsageError
from mimctl.index.model import Build, IndexFile
from mimctl.installer.locking.cells import cell_for
from mimctl.installer.locking.lock import LockWish, Wishes, resolve_cells
from mimctl.installer.locking.lockfile import Asked, Contents, write_lock
from mimctl.installer.locking.reading import Lock, read_lock
from mimctl.resolution.model import Metadata, Provided

X86, ARM = "manylinux_2_28_x86_64", "manylinux_2_28_aarch64"
CU13, CPU, ARM_CPU = "linux-x86_64-cu13", "linux-x86_64-cpu", "linux-aarch64-cpu"
VERSIONS = ("2.13.0", "2.13.0")


def wheel(text: str, *requires: str, tag: str = "py3-none-any", build: Build | None = None, sha: str = "") -> IndexFile:
    """Return a wheel whose name is one that wheels have."""
    file = make_wheel(text, *requires, tag=tag, build=build)
    name = f"{file.project.replace('-', '_')}-{file.version}-{tag}.whl"
    sha256 = sha * 64 or hashlib.sha256(name.encode()).hexdigest()
    return replace(file, filename=name, url=f"https://index.example/{name}", sha256=sha256)


def ops(backend: str, platform: str, version: str = "0.1.0") -> IndexFile:
    """Return an op wheel."""
    build = Build(backend=backend, min_torch="2.10", min_driver="580" if backend == "cu13" else None)
    return wheel(f"mimctl-ops {version}+{backend}", "torch>=2.10", tag=f"py3-none-{platform}", build=build)


WHEELS = (
    wheel("mimctl-det 0.1.0", "mimctl-ops>=0.1", "numpy", "torch>=2.6"),
    *(ops(backend, platform) for backend, platform in (("cu13", X86), ("cpu", X86), ("cpu", ARM))),
    *(wheel(f"torch 2.13.0+{label}", "sympy", tag=f"cp311-cp311-{X86}") for label in ("cu130", "cpu", "cu126")),
    wheel("torch 2.13.0+cpu", "sympy", tag=f"cp311-cp311-{ARM}"),
    wheel("torch 2.12.0+cpu", "sympy", tag=f"cp311-cp311-{X86}"),
    wheel("sympy 1.13"),
    wheel("numpy 2.0", tag=f"cp311-cp311-{X86}"),
    wheel("numpy 2.0", tag=f"cp311-cp311-{ARM}"),
    wheel("numpy 1.26"),
)
NEWER = (*WHEELS, wheel("numpy 2.1"), wheel("sympy 1.14"), wheel("mimctl-det 0.2.0", "mimctl-ops>=0.1", "torch>=2.6"))


@dataclass
class Shelf(MadeCatalog):
    """A catalog that hands out files, for those without a hash."""

    folder: Path = Path()
    fetched: list[str] = field(default_factory=list)

    def fetch(self, file: IndexFile, *, progress: object = None) -> Path:
        """Return a file of ten bytes."""
        self.fetched.append(file.filename)
        path = self.folder / file.filename
        path.write_bytes(b"0123456789")
        return path


def lock(
    *names: str,
    cells: Sequence[str] = (CU13, CPU, ARM_CPU),
    files: Sequence[IndexFile] = WHEELS,
    previous: Lock | None = None,
    shelf: Shelf | None = None,
    provided: dict[str, Provided] | None = None,
    **wish: object,
) -> Contents:
    """Lock names for environments with Python 3.11."""
    return resolve_cells(
        Wishes(wanted=wants(*(names or ("mimctl-det",))), provided=provided or {}),
        [cell_for(words, "3.11") for words in cells],
        shelf_for=lambda _cell, _torch: shelf or Shelf(files=files),
        torch_versions=VERSIONS,
        wish=LockWish(**wish),  # type: ignore[arg-type]
        previous=previous,
    )


def words(contents: Contents) -> dict[str, list[str]]:
    return {
        cell.words: sorted(f"{name} {file.version}" for name, file in files.items()) for cell, files in contents.items()
    }


def saved(contents: Contents, folder: Path) -> Lock:
    text = write_lock(contents, Asked(requests=("mimctl-det",)), folder=folder)
    (folder / "pylock.toml").write_text(text, encoding="utf-8")
    return read_lock(folder / "pylock.toml")


def test_each_environment_gets_its_torch_and_its_operators() -> None:
    rest = ["numpy 2.0", "sympy 1.13"]
    assert words(lock()) == {
        CU13: ["mimctl-det 0.1.0", "mimctl-ops 0.1.0+cu13", *rest, "torch 2.13.0+cu130"],
        CPU: ["mimctl-det 0.1.0", "mimctl-ops 0.1.0+cpu", *rest, "torch 2.13.0+cpu"],
        ARM_CPU: ["mimctl-det 0.1.0", "mimctl-ops 0.1.0+cpu", *rest, "torch 2.13.0+cpu"],
    }


def test_locking_twice_changes_no_byte_though_newer_versions_came(tmp_path: Path) -> None:
    first = saved(lock(), tmp_path)
    again = saved(lock(previous=first, files=NEWER), tmp_path)
    assert again.text == first.text


def test_what_locked_packages_need_of_each_other_stays_too(tmp_path: Path) -> None:
    chain = [wheel("a 1.0", "b"), wheel("b 1.0", "c>=1"), wheel("c 1.0", "d; python_version >= '3'"), wheel("d 1.0")]
    first = saved(lock("a", cells=[CPU], files=chain), tmp_path)
    newer = [*chain, *(wheel(f"{name} 2.0") for name in "abcd")]
    assert saved(lock("a", cells=[CPU], files=newer, previous=first), tmp_path).text == first.text


def test_upgrade_takes_what_is_new(tmp_path: Path) -> None:
    first = saved(lock(cells=[CPU]), tmp_path)
    everything = words(lock(cells=[CPU], previous=first, files=NEWER, upgrade=True))[CPU]
    assert {"mimctl-det 0.2.0", "sympy 1.14"} < set(everything)
    some = words(lock(cells=[CPU], previous=first, files=NEWER, upgrade_names=frozenset({"numpy"})))[CPU]
    assert {"mimctl-det 0.1.0", "numpy 2.1", "sympy 1.13"} < set(some)


def test_what_nobody_needs_any_more_is_dropped_and_holds_nothing_back(tmp_path: Path) -> None:
    first = saved(lock(cells=[CPU]), tmp_path)
    assert words(lock("numpy<2", cells=[CPU], previous=first)) == {CPU: ["numpy 1.26"]}


def test_a_pin_gives_way_to_a_requirement(tmp_path: Path) -> None:
    first = saved(lock(cells=[CPU]), tmp_path)
    assert "numpy 1.26" in words(lock("mimctl-det", "numpy<2", cells=[CPU], previous=first))[CPU]


def test_the_locked_torch_stays_though_the_index_brings_a_newer_one(tmp_path: Path) -> None:
    first = saved(lock(cells=[CPU], torch="2.12.0"), tmp_path)
    assert "torch 2.12.0+cpu" in words(lock(cells=[CPU], previous=first))[CPU]
    assert "torch 2.13.0+cpu" in words(lock(cells=[CPU], previous=first, upgrade=True))[CPU]


def test_an_environment_that_is_added_leaves_the_others_as_they_are(tmp_path: Path) -> None:
    first = saved(lock(cells=[CPU]), tmp_path)
    both = words(lock(cells=[CPU, CU13], previous=first, files=NEWER))
    assert "numpy 2.0" in both[CPU]
    assert "numpy 2.1" not in both[CPU]


def test_a_build_that_is_named_in_the_environment() -> None:
    cells = words(lock(cells=["linux-x86_64-cu126"], files=(*WHEELS, ops("cu12", X86))))
    assert {"torch 2.13.0+cu126", "mimctl-ops 0.1.0+cu12"} < set(cells["linux-x86_64-cu126"])


def test_no_torch_where_somebody_else_brings_it() -> None:
    assert not any("torch" in each for each in words(lock(cells=[CPU], torch="none"))[CPU])


def test_a_torch_that_the_accelerator_does_not_run_is_refused() -> None:
    with pytest.raises(UsageError, match="no build for"):
        lock(cells=[CU13], torch="cpu")


def test_a_wheel_without_a_hash_is_fetched_for_it(tmp_path: Path) -> None:
    files = [replace(wheel("a 1.0"), sha256=None, size=None)]
    shelf = Shelf(files=files, folder=tmp_path)
    found = next(iter(lock("a", cells=[CPU], shelf=shelf).values()))["a"]
    assert found.sha256 == hashlib.sha256(b"0123456789").hexdigest()
    assert found.size == 10


def test_the_same_file_name_with_another_hash_is_refused(tmp_path: Path) -> None:
    first = saved(lock("sympy", cells=[CPU]), tmp_path)
    changed = [wheel("sympy 1.13", sha="f")]
    assert words(lock("sympy", cells=[CPU], previous=first, files=changed)) == {CPU: ["sympy 1.13"]}, "it stays"
    with pytest.raises(MimctlError) as caught:
        lock("sympy", cells=[CPU], previous=first, files=changed, upgrade=True)
    assert caught.value.code == "hash-changed"


def test_an_environment_without_an_answer_is_an_error_of_its_own() -> None:
    with pytest.raises(MimctlError, match="mimctl-ops"):
        lock(cells=[CPU, "linux-aarch64-cu13"], files=(*WHEELS, wheel("torch 2.13.0+cu130", tag=f"cp311-cp311-{ARM}")))


def test_two_environments_that_nobody_can_tell_apart() -> None:
    with pytest.raises(UsageError, match="the same environment"):
        lock(cells=[CPU, CPU])


@pytest.mark.parametrize("origin", ["./folder", "git+https://host/repo", "/tmp/a-1.0.tar.gz"])
def test_what_others_could_not_fetch_is_not_locked(origin: str, tmp_path: Path) -> None:
    built = tmp_path / "a-1.0-py3-none-any.whl"
    given = Provided(metadata=Metadata(name="a", version="1.0"), origin=origin, wheel=built, sha256="0" * 64)
    with pytest.raises(UsageError, match="cannot be locked"):
        lock("a", cells=[CPU], provided={"a": given})


def test_a_wheel_that_was_named_by_its_path_is_locked_by_its_path(tmp_path: Path) -> None:
    path = tmp_path / "a-1.0-py3-none-any.whl"
    path.write_bytes(b"wheel")
    given = Provided(metadata=Metadata(name="a", version="1.0"), origin=str(path), wheel=path, sha256="0" * 64)
    contents = lock("a", cells=[CPU], provided={"a": given})
    assert 'path = "a-1.0-py3-none-any.whl"' in write_lock(contents, Asked(), folder=tmp_path)

"""`check_wheel` against wheels that were made by hand to do harm, and against honest ones."""

from __future__ import annotations

import random
import stat
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_wheels import write_ops_wheel, write_wheel

from mimctl.errors import MimctlError, render
from mimctl.index.model import IndexFile
from mimctl.installer.inspection.protected import protected_names
from mimctl.installer.inspection.wheel_check import check_wheel
from mimctl.resolution.model import Metadata

NAME = "tool-1.0-py3-none-any.whl"
INFO = "tool-1.0.dist-info"
METADATA = b"Metadata-Version: 2.1\nName: tool\nVersion: 1.0\n\n"
WHEEL = b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


def make(folder: Path, members: dict[str, bytes], *, name: str = NAME, record: list[str] | None = None) -> Path:
    """Write a wheel of just these members; RECORD lists them, or what `record` says."""
    whole = {"tool/__init__.py": b"", f"{INFO}/METADATA": METADATA, f"{INFO}/WHEEL": WHEEL, **members}
    listed = list(whole) if record is None else record
    whole.setdefault(f"{INFO}/RECORD", "\n".join(f"{each},," for each in [*listed, f"{INFO}/RECORD"]).encode())
    with zipfile.ZipFile(folder / name, "w", zipfile.ZIP_DEFLATED) as archive:
        for member, data in whole.items():
            info = zipfile.ZipInfo("x")
            info.filename = member  # ZipInfo would mend it
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, data)
    return folder / name


def refusal(path: Path, **facts: object) -> MimctlError:
    with pytest.raises(MimctlError) as caught:
        check_wheel(path, **facts)  # type: ignore[arg-type]
    assert all(letter.isprintable() or letter == "\n" for letter in render(caught.value))
    return caught.value


def test_honest_wheels_pass(tmp_path: Path) -> None:
    check_wheel(make(tmp_path, {}))
    check_wheel(write_wheel(tmp_path, "Some.Name-1.0.post1-py3-none-any.whl", title="some-name"))
    check_wheel(write_ops_wheel(tmp_path, "cu13", version="0.1.0+cu13"))
    data = {
        "tool-1.0.data/scripts/tool": b"#!python\n",
        "tool-1.0.data/purelib/tool/more.py": b"",
        "tool-1.0.data/data/share/tool/licence.txt": b"",
        "tool-1.0.data/data/lib/libtool.so.1": b"",
        "tool-1.0.data/headers/tool.h": b"",
        f"{INFO}/entry_points.txt": b"[console_scripts]\ntool = tool:main\npythonic-tool = tool:main\n",
    }
    check_wheel(make(tmp_path, data), protected={"torch": "torch"})


@pytest.mark.parametrize(
    ("members", "code"),
    [
        ({"../evil.py": b""}, "unsafe-wheel"),
        ({"/etc/evil.py": b""}, "unsafe-wheel"),
        ({"tool/../../evil.py": b""}, "unsafe-wheel"),
        ({"tool//evil.py": b""}, "unsafe-wheel"),
        ({"tool\\evil.py": b""}, "unsafe-wheel"),
        ({"C:/evil.py": b""}, "unsafe-wheel"),
        ({"tool/a\x1b[31m.py": b""}, "unsafe-wheel"),
        ({"tool/a\nb.py": b""}, "unsafe-wheel"),
        ({"tool/\u202egnp.py": b""}, "unsafe-wheel"),
        ({"tool-1.0.data/elsewhere/x": b""}, "unsafe-wheel"),
        ({"tool-1.0.data/x": b""}, "unsafe-wheel"),
        ({"other-1.0.data/scripts/x": b""}, "unsafe-wheel"),
        ({"tool-1.0.data/scripts/python3": b""}, "unsafe-wheel"),
        ({"tool-1.0.data/scripts/activate.fish": b""}, "unsafe-wheel"),
        ({"tool-1.0.data/data/bin/python3.12": b""}, "unsafe-wheel"),
        ({"tool-1.0.data/data/lib/python3.12/site-packages/torch/x.py": b""}, "unsafe-wheel"),
        ({"tool-1.0.data/data/pyvenv.cfg": b""}, "unsafe-wheel"),
        ({"tool-1.0.data/purelib/torch-2.13.0.dist-info/METADATA": b""}, "unsafe-wheel"),
        ({"torch.egg-info/PKG-INFO": b""}, "unsafe-wheel"),
        ({f"{INFO}/entry_points.txt": b"[console_scripts]\n../x = tool:main\n"}, "unsafe-wheel"),
        ({f"{INFO}/entry_points.txt": b"[ console_scripts ]\npython3=tool:main\n"}, "unsafe-wheel"),
        ({"torch/__init__.py": b""}, "foreign-files"),
        ({"tool-1.0.data/platlib/torch/__init__.py": b""}, "foreign-files"),
        ({"torch.py": b""}, "foreign-files"),
        ({"tool-1.0.data/purelib/tool/__init__.py": b""}, "bad-wheel"),
        ({"other-1.0.dist-info/METADATA": METADATA}, "bad-wheel"),
        ({f"{INFO}/METADATA": METADATA.replace(b"tool", b"other")}, "bad-wheel"),
        ({f"{INFO}/METADATA": METADATA.replace(b"Version: 1.0", b"Version: 2.0")}, "bad-wheel"),
        ({f"{INFO}/METADATA": METADATA.replace(b"Version: 1.0", b"Version: one")}, "bad-wheel"),
        ({f"{INFO}/METADATA": b"\xff\xfe"}, "bad-wheel"),
        ({f"{INFO}/METADATA": METADATA + b"x" * (9 << 20)}, "bad-wheel"),
        ({f"{INFO}/WHEEL": WHEEL.replace(b"Wheel-Version: 1.0", b"Wheel-Version: 2.0")}, "bad-wheel"),
        ({f"{INFO}/RECORD": b"\xff"}, "bad-wheel"),
        ({"tool/zeros": bytes(200 << 20)}, "zip-bomb"),
    ],
)
def test_wheels_that_do_harm_are_refused(tmp_path: Path, members: dict[str, bytes], code: str) -> None:
    path = make(tmp_path, members)
    assert refusal(path, protected={"torch": "torch"}).code == code


def test_torch_may_bring_what_is_torchs(tmp_path: Path) -> None:
    path = write_wheel(tmp_path, "torch-2.13.0-py3-none-any.whl")
    check_wheel(path, protected={"torch": "torch"})


@pytest.mark.parametrize("lacking", ["METADATA", "WHEEL", "RECORD"])
def test_a_wheel_without_one_of_its_papers_is_refused(tmp_path: Path, lacking: str) -> None:
    whole = make(tmp_path, {})
    (tmp_path / "out").mkdir()
    with zipfile.ZipFile(whole) as source, zipfile.ZipFile(tmp_path / "out" / NAME, "w") as target:
        for member in source.namelist():
            if not member.endswith(lacking):
                target.writestr(member, source.read(member))
    assert refusal(tmp_path / "out" / NAME).code == "bad-wheel"


def test_a_file_that_record_does_not_list_is_refused(tmp_path: Path) -> None:
    path = make(tmp_path, {"extra.pth": b"import os"}, record=["tool/__init__.py", f"{INFO}/METADATA", f"{INFO}/WHEEL"])
    assert "extra.pth" in render(refusal(path))


@pytest.mark.parametrize("name", ["../../../bin/python", "/etc/passwd", "tool/../../torch/__init__.py", "C:/x"])
def test_a_record_that_claims_files_of_others_is_refused(tmp_path: Path, name: str) -> None:
    """Whoever uninstalls it would remove them."""
    path = make(tmp_path, {}, record=["tool/__init__.py", f"{INFO}/METADATA", f"{INFO}/WHEEL", name])
    assert refusal(path).code == "unsafe-wheel"


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFIFO])
def test_links_and_devices_are_refused(tmp_path: Path, kind: int) -> None:
    path = make(tmp_path, {})
    with zipfile.ZipFile(path, "a") as archive:
        info = zipfile.ZipInfo("tool/link")
        info.external_attr = (kind | 0o777) << 16
        archive.writestr(info, "/etc/passwd")
    assert refusal(path).code == "unsafe-wheel"


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_files_of_one_name_are_refused(tmp_path: Path) -> None:
    path = make(tmp_path, {})
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("tool/__init__.py", "import os")
    assert refusal(path).code == "bad-wheel"


def _html(path: Path) -> None:
    path.write_bytes(b"<!doctype html><p>sign in</p>")


def _truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


def _followed(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"more")


def _preceded(path: Path) -> None:
    path.write_bytes(b"#!/bin/sh\n" + path.read_bytes())


def _two_names(path: Path) -> None:
    """Change a name in the local header alone: readers of the directory and readers of the stream see two files."""
    body = bytearray(path.read_bytes())
    at = body.index(b"tool/__init__.py")
    body[at : at + 16] = b"tool/__evil__.py"
    path.write_bytes(bytes(body))


def _many(path: Path) -> None:
    body = bytearray(path.read_bytes())
    at = body.rindex(b"PK\x05\x06")
    struct.pack_into("<I", body, at + 12, 0xFFFFFFF0)
    path.write_bytes(bytes(body))


def _flipped(path: Path) -> None:
    body = bytearray(path.read_bytes())
    at = body.index(METADATA[:20]) if METADATA[:20] in body else body.index(f"{INFO}/METADATA".encode()) + 40
    body[at] ^= 0xFF
    path.write_bytes(bytes(body))


@pytest.mark.parametrize("damage", [_html, _truncated, _followed, _preceded, _two_names, _flipped])
def test_damaged_and_ambiguous_archives_are_refused(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    path = make(tmp_path, {})
    damage(path)
    assert refusal(path).code == "bad-wheel"


def test_a_directory_of_gigabytes_is_not_read(tmp_path: Path) -> None:
    path = make(tmp_path, {})
    _many(path)
    assert refusal(path).code == "zip-bomb"


def test_changed_bytes_never_lead_to_another_error(tmp_path: Path) -> None:
    wheel = make(tmp_path, {"tool/a.py": b"a" * 100, f"{INFO}/entry_points.txt": b"[console_scripts]\na = b:c\n"})
    body, chance = wheel.read_bytes(), random.Random(5)
    outcomes = set()
    for _ in range(800):
        changed = bytearray(body)
        for _ in range(chance.choice([1, 1, 2, 5])):
            at = chance.randrange(len(changed))
            changed[at : at + chance.choice([1, 1, 1, 30])] = chance.randbytes(chance.choice([1, 1, 1, 20]))
        wheel.write_bytes(bytes(changed))
        try:
            check_wheel(wheel)
        except MimctlError as refusal:
            outcomes.add(refusal.code)
    assert outcomes >= {"bad-wheel", "unsafe-wheel"}


def test_what_the_index_said_must_hold(tmp_path: Path) -> None:
    path = write_wheel(tmp_path, NAME, metadata="Requires-Dist: Some_Dep >=1\n")

    def listed(**changes: object) -> IndexFile:
        facts = {"project": "tool", "filename": NAME, "url": "", "sha256": None, "size": None, "version": "1.0"}
        return IndexFile(**{**facts, "tags": ("py3-none-any",), **changes})  # type: ignore[arg-type]

    check_wheel(path, file=listed(), metadata=Metadata(name="tool", version="1.0", requires_dist=("some-dep>=1",)))
    assert refusal(path, file=listed(project="other")).code == "bad-wheel"
    told = Metadata(name="tool", version="1.0", requires_dist=())
    assert "some-dep>=1" in render(refusal(path, metadata=told))


def test_names_of_packages_are_protected_not_namespaces(tmp_path: Path) -> None:
    def install(name: str, files: dict[str, bytes]) -> None:
        for member, data in files.items():
            (tmp_path / member).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / member).write_bytes(data)
        info = tmp_path / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "RECORD").write_text("".join(f"{member},,\n" for member in files))

    install("torch", {"torch/__init__.py": b"x = 1", "torchgen/model.py": b"", "functorch/__init__.py": b"x = 1"})
    install("nvidia_a", {"nvidia/__init__.py": b"", "nvidia/a/__init__.py": b""})
    install(
        "old",
        {"zope/__init__.py": b"__import__('pkg_resources').declare_namespace(__name__)", "tests/__init__.py": b"x"},
    )
    install("single", {"six.py": b"", "_c.cpython-311-x86_64-linux-gnu.so": b""})
    assert protected_names([tmp_path]) == {"torch": "torch", "functorch": "torch", "six": "single", "_c": "single"}
    assert set(protected_names([tmp_path], but=["torch"])) == {"six", "_c"}


def test_a_torch_that_nothing_lists_is_protected(tmp_path: Path) -> None:
    """That of a container or of conda."""
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "__init__.py").write_bytes(b"")
    assert protected_names([tmp_path]) == {"torch": "torch"}

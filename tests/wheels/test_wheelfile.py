"""Reading and rewriting wheels: facts, and refusal of what is damaged or hostile."""

from __future__ import annotations

import base64
import hashlib
import stat
import zipfile
from pathlib import Path

import pytest
from tiny_wheels import OPS_BUILD, write_wheel

from mimctl.errors import IntegrityError
from mimctl.wheels.wheelfile import MAX_METADATA_BYTES, read_wheel, rewrite


def test_facts_are_those_of_the_metadata(tmp_path: Path) -> None:
    header = (
        "Summary: ops\nRequires-Python: >=3.11\nRequires-Dist: torch>=2.10\nRequires-Dist: numpy\nProvides-Extra: x"
    )
    path = write_wheel(tmp_path, metadata=header, build=OPS_BUILD)
    facts = read_wheel(path)
    assert (facts.project, facts.version, facts.tags) == ("mimctl-ops", "0.1.0", ("py3-none-any",))
    assert facts.requires_dist == ("torch>=2.10", "numpy")
    assert facts.requires_python == ">=3.11"
    assert facts.provides_extra == ("x",)
    assert facts.build == OPS_BUILD
    assert facts.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert facts.size == path.stat().st_size


def test_a_wheel_without_operators_has_no_build_facts(tmp_path: Path) -> None:
    assert read_wheel(write_wheel(tmp_path)).build is None


def refused(path: Path, cause: str) -> None:
    with pytest.raises(IntegrityError) as caught:
        read_wheel(path)
    assert caught.value.code == "bad-wheel"
    assert cause in " ".join(caught.value.causes)


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    path = write_wheel(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    refused(path, "zip")
    path.write_bytes(b"<html>not found</html>")
    refused(path, "zip")


@pytest.mark.parametrize("name", ["../evil.py", "/etc/evil", "a/../../evil", "a\\..\\evil"])
def test_members_that_would_leave_their_place_are_refused(tmp_path: Path, name: str) -> None:
    refused(write_wheel(tmp_path, extra={name: b""}), "outside its place")


def test_links_are_refused(tmp_path: Path) -> None:
    path = write_wheel(tmp_path)
    link = zipfile.ZipInfo("mimctl_ops/link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(link, "/etc/passwd")
    refused(path, "is a link")


def test_a_name_that_disagrees_with_the_metadata_is_refused(tmp_path: Path) -> None:
    path = write_wheel(tmp_path, "mimctl_ops-0.1.0-py3-none-any.whl")
    refused(path.rename(tmp_path / "mimctl_ops-0.2.0-py3-none-any.whl"), "0.1.0")
    path = write_wheel(tmp_path, "mimctl_ops-0.1.0-py3-none-any.whl")
    refused(path.rename(tmp_path / "no_wheel_name.whl"), "no_wheel_name")


def test_an_inflated_metadata_file_is_not_read_whole(tmp_path: Path) -> None:
    path = write_wheel(tmp_path, metadata="Description: " + "x" * (2 * MAX_METADATA_BYTES))
    refused(path, "larger than")


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"backend": 3}', b"[" * 100_000])
def test_malformed_build_facts_are_refused(tmp_path: Path, body: bytes) -> None:
    refused(write_wheel(tmp_path, extra={"mimctl_ops/build.json": body}), "build.json")


def test_rewriting_changes_the_tag_everywhere_and_keeps_the_record_true(tmp_path: Path) -> None:
    source = write_wheel(tmp_path, "mimctl_ops-0.1.0-py3-none-linux_x86_64.whl", extra={"mimctl_ops/x.so": b"\x7fELF"})
    target = rewrite(source, tmp_path, platform="manylinux_2_34_x86_64")
    assert target.name == "mimctl_ops-0.1.0-py3-none-manylinux_2_34_x86_64.whl"
    assert read_wheel(target).tags == ("py3-none-manylinux_2_34_x86_64",)
    with zipfile.ZipFile(target) as archive:
        wheel = archive.read("mimctl_ops-0.1.0.dist-info/WHEEL").decode()
        assert wheel.splitlines()[-1] == "Tag: py3-none-manylinux_2_34_x86_64"
        for line in archive.read("mimctl_ops-0.1.0.dist-info/RECORD").decode().splitlines():
            name, digest, size = line.rsplit(",", 2)
            if digest:
                data = archive.read(name)
                expected = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
                assert (digest, size) == (f"sha256={expected}", str(len(data)))
    assert not list(tmp_path.glob(".*"))


def record_is_true(path: Path) -> bool:
    """Return whether RECORD lists every member with its hash and its size."""
    with zipfile.ZipFile(path) as archive:
        (record,) = [name for name in archive.namelist() if name.endswith(".dist-info/RECORD")]
        listed = {}
        for line in archive.read(record).decode().splitlines():
            name, digest, size = line.rsplit(",", 2)
            listed[name] = (digest, size)
        for name, found in listed.items():
            data = archive.read(name)
            raw = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
            if found != ("", "") and found != (f"sha256={raw}", str(len(data))):
                return False
        return set(listed) == set(archive.namelist())


@pytest.mark.parametrize(
    ("name", "labelled"),
    [
        ("mimctl_ops-0.1.0-py3-none-linux_x86_64.whl", "mimctl_ops-0.1.0+cu13-py3-none-manylinux_2_28_x86_64.whl"),
        ("x-1.0+g1-7-cp311-cp311-linux_x86_64.whl", "x-1.0+g1.cu13-7-cp311-cp311-manylinux_2_28_x86_64.whl"),
    ],
)
def test_a_label_is_put_wherever_the_wheel_says_its_version(tmp_path: Path, name: str, labelled: str) -> None:
    project, version = name.split("-")[:2]
    text = f"Summary: about\nRequires-Dist: torch>=2.10\n\nIn the text, too:\nVersion: {version}\n"
    extra = {f"{project}/x.so": b"\x7fELF", f"{project}-{version}.data/scripts/tool": b"#!python\n"}
    source = write_wheel(tmp_path, name, metadata=text, extra=extra)
    target = rewrite(source, tmp_path, platform="manylinux_2_28_x86_64", label="cu13")
    assert target.name == labelled
    new = labelled.split("-")[1]
    facts = read_wheel(target)
    assert (facts.version, facts.summary, facts.requires_dist) == (new, "about", ("torch>=2.10",))
    assert facts.metadata.decode().count(f"\nVersion: {version}\n") == 1, "that of the description is left alone"
    with zipfile.ZipFile(target) as archive:
        folders = {name.split("/")[0] for name in archive.namelist()}
    assert folders == {project, f"{project}-{new}.dist-info", f"{project}-{new}.data"}
    assert record_is_true(target)
    (tmp_path / "again").mkdir()
    again = rewrite(source, tmp_path / "again", label="cu13")
    assert record_is_true(again)
    assert read_wheel(again).tags == read_wheel(source).tags


def test_rewriting_leaves_no_trace_of_the_umask(tmp_path: Path) -> None:
    paths = []
    for number, mode in enumerate((0o600, 0o664)):
        path = write_wheel(tmp_path / str(number))
        data = zipfile.ZipFile(path)
        other = tmp_path / str(number) / "mode" / path.name
        other.parent.mkdir()
        with zipfile.ZipFile(other, "w") as out:
            for member in data.infolist():
                info = zipfile.ZipInfo(member.filename, member.date_time)
                info.external_attr = mode << 16
                out.writestr(info, data.read(member))
        paths.append(rewrite(other, tmp_path / str(number)))
    assert paths[0].read_bytes() == paths[1].read_bytes()

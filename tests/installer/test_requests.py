"""What people type after `install` is understood, fetched and built, or refused in words that say what to type."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import tarfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.requirements import Requirement
from tiny_projects import BUILD_BACKEND, write_project

from mimctl.environment.detect import detect
from mimctl.errors import IntegrityError, MimctlError, NoCompatibleBuildError, UnsafeFileError, UsageError, render
from mimctl.index.model import Index, IndexFile, Toolbox
from mimctl.installer.asking.provide import Workshop
from mimctl.installer.asking.requests import Requests, check_hashed, gather, read_requests
from mimctl.installer.asking.words import Named, Placed, parse_word
from mimctl.installer.backends.backend import choose_backend
from mimctl.resolution.model import Metadata, Pick, Provided, Resolution
from mimctl.transfer import TransferSettings

DET = Toolbox(name="det", distribution="mimctl-det", aliases=("mmdet", "mmdetection"))
INDEX = Index(
    addresses=("https://index.example",),
    files=tuple(
        IndexFile(
            project=name,
            filename=f"{name}.whl",
            url="",
            sha256=None,
            size=None,
            version="0.1.0",
            tags=(),
            address="https://index.example",
        )
        for name in ("mimctl", "mimctl-det", "mimctl-ops")
    ),
    toolboxes={"det": DET},
)
PUBLIC = {"numpy", "dett", "mmdett", "rich", "dev"}


@dataclass
class Hand:
    """Provides what it was given, and knows what it was asked for."""

    found: dict[str, Provided] = field(default_factory=dict)
    asked: list[tuple[Placed, bool]] = field(default_factory=list)

    def provide(self, place: Placed, *, is_editable: bool = False) -> Provided:
        """Return what lies at the place."""
        self.asked.append((place, is_editable))
        return self.found[Path(place.address).name]


def provided(name: str, version: str = "1.0") -> Provided:
    """Return a distribution that lies somewhere."""
    return Provided(metadata=Metadata(name=name, version=version), origin=f"./{name}")


def ask(*words: str, installed: Sequence[str] = (), hand: Hand | None = None, index: Index = INDEX, **more) -> Requests:
    """Read words as `install` does."""
    contents = gather(words, environ={}, transfer=TransferSettings(), **more)
    return read_requests(
        contents, index=index, installed=installed, is_served=PUBLIC.__contains__, provider=hand or Hand()
    )


def wanted(requests: Requests) -> list[str]:
    """Return the requirements as text."""
    return [str(each.requirement) for each in requests.wanted]


@pytest.mark.parametrize(
    ("word", "distribution"),
    [
        ("det", "mimctl-det"),
        ("DET", "mimctl-det"),
        ("mmdet", "mimctl-det"),
        ("MMDetection", "mimctl-det"),
        ("det==0.1.0", "mimctl-det==0.1.0"),
        ("det[albu]", "mimctl-det[albu]"),
        ("det[albu,track]>=0.1 ; python_version >= '3.11'", 'mimctl-det[albu,track]>=0.1; python_version >= "3.11"'),
        ("mmdet[mim]", "mimctl-det"),
        ("mmdet[albu]", "mimctl-det[albu]"),
        ("mmdet==3.3.0", "mmdet==3.3.0"),
        ("MMDet>=3", "mmdet>=3"),
        ("mmdet[mim]==3.3.0", "mmdet[mim]==3.3.0"),
        ("mimctl-det", "mimctl-det"),
        ("Mimctl_Det==0.1.0", "mimctl-det==0.1.0"),
        ("mimctl[engine]", "mimctl[engine]"),
        ("numpy", "numpy"),
        ("NumPy>=2", "numpy>=2"),
        ("absent-from-the-index>=1", "absent-from-the-index>=1"),
        ("mmdet3d", "mmdet3d"),
        ("mmcv==2.1.0", "mmcv==2.1.0"),
        ("mmcv-full===1.7.2", "mmcv-full===1.7.2"),
        ("dett>=0", "dett>=0"),
    ],
)
def test_names_are_distributions(word, distribution):
    assert wanted(ask(word)) == [str(Requirement(distribution))]


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("dett", "did you mean `det`?"),
        ("dte", "did you mean `det`?"),
        ("dev", "did you mean `det`?"),
        ("mmdett", "did you mean `mmdet`?"),
        ("mmdetecton", "did you mean `mmdetection`?"),
        ("mimctl-dte", "did you mean `mimctl-det`?"),
        ("mimctl-seg", "the plugins of the index are `det`"),
        ("nothing-at-all", "the plugins of the index are `det`"),
        ("mmseg", "for OpenMMLab's own distribution ask for a version: `mimctl install 'mmseg>=0'`"),
    ],
)
def test_a_name_that_is_nobody_s_or_nearly_ours_is_refused(word, hint):
    with pytest.raises(MimctlError) as caught:
        ask(word)
    assert caught.value.code == "unknown-plugin"
    assert caught.value.exit_code == 1
    assert hint in caught.value.hints


def test_a_near_miss_is_not_looked_for_and_the_insisting_spelling_is_told():
    def is_served(name: str) -> bool:
        raise AssertionError(name)

    contents = gather(["dett"], environ={}, transfer=TransferSettings())
    with pytest.raises(MimctlError) as caught:
        read_requests(contents, index=INDEX, installed=(), is_served=is_served, provider=Hand())
    assert "for a package that is called so, ask for a version: `mimctl install 'dett>=0'`" in caught.value.hints
    for words in (["det"], ["mimctl-ops"], ["dett>=0"], ["rich>=13"], ["mmdet==3.3.0"]):
        contents = gather(words, environ={}, transfer=TransferSettings())
        read_requests(contents, index=INDEX, installed=(), is_served=is_served, provider=Hand())


def test_what_is_installed_is_known_without_any_index():
    nothing = Index(addresses=())
    assert wanted(ask("odd-one", installed=["odd-one"], index=nothing)) == ["odd-one"]
    with pytest.raises(MimctlError) as caught:
        ask("det", index=nothing)
    assert caught.value.code == "unknown-plugin"


@pytest.mark.parametrize("word", ["mmcv", "MMCV", "mmcv>=2.0.0rc0", "mmcv-full", "mmcv-lite", "mmcv[all]"])
def test_mmcv_is_answered_with_what_is_there_instead(word):
    with pytest.raises(MimctlError) as caught:
        ask(word)
    text = render(caught.value)
    assert caught.value.code == "served-by-ours"
    assert f"in the place of `{word}`" in text
    assert "`mimctl install det` brings the same operators" in text
    assert "for that very distribution name a version" in text
    if word.startswith("mmcv>"):
        assert "torch 2.4" in text


def test_mmcv_that_is_there_may_be_asked_for_again():
    assert wanted(ask("mmcv>=2.0.0rc0", installed=["mmcv"])) == ["mmcv>=2.0.0rc0"]


@pytest.mark.parametrize("index", [Index(addresses=()), replace(INDEX, toolboxes={})])
def test_a_toolbox_that_no_index_has_is_not_taken_from_a_public_one(index):
    with pytest.raises(MimctlError) as caught:
        read_requests(
            gather(["seg"], environ={}, transfer=TransferSettings()),
            index=index,
            installed=(),
            is_served=lambda name: pytest.fail(f"a public index was asked for {name}"),
            provider=Hand(),
        )
    assert caught.value.code == "unknown-plugin"
    assert "looked for nowhere else" in caught.value.causes[-1]
    assert [str(each.requirement) for each in ask("seg>=0", index=index).wanted] == ["seg>=0"]


def test_a_plain_index_is_asked_for_distributions_of_ours():
    plain = Index(addresses=("https://index.example/simple",), plain=("https://index.example/simple",))
    assert [str(each.requirement) for each in ask("mimctl-det", index=plain).wanted] == ["mimctl-det"]


def test_mmengine_is_installed_with_a_note():
    requests = ask("mmengine", "mmengine")
    assert wanted(requests) == ["mmengine"]
    assert requests.notes == ("no toolbox of mimctl needs mmengine; it is installed all the same, as you asked for it",)


def test_names_in_a_file_are_those_of_distributions_and_toolboxes(tmp_path):
    file = tmp_path / "reqs.txt"
    file.write_text("mmdet\nmmcv>=2.0.0rc4,<2.2.0\ndet\nanything\n", encoding="utf-8")
    requests = ask(files=[str(file)])
    assert wanted(requests) == ["mmdet", "mmcv<2.2.0,>=2.0.0rc4", "mimctl-det", "anything"]
    assert [each.by for each in requests.wanted] == [f"{file}:{line}" for line in (1, 2, 3, 4)]


def test_several_at_once_and_duplicates():
    requests = ask("det", "mmdet", "numpy", "det", "numpy>=2")
    assert wanted(requests) == ["mimctl-det", "numpy", "numpy>=2"]
    assert requests.typed == "det mmdet numpy det numpy>=2"


@pytest.mark.parametrize(
    "words", [("numpy==1.26", "numpy==2.1.0"), ("numpy==1.26", "numpy>=2"), ("det==0.1.0", "mimctl-det==0.2.0")]
)
def test_requests_that_exclude_each_other_are_told_in_one_paragraph(words):
    with pytest.raises(MimctlError) as caught:
        ask(*words)
    assert caught.value.code == "conflicting-requirements"
    assert len(caught.value.causes) == 2
    assert all("you asked for `" in cause for cause in caught.value.causes)


def test_a_place_and_a_version_that_exclude_each_other(tmp_path):
    (tmp_path / "mine").mkdir()
    hand = Hand({"mine": provided("mine", "1.5")})
    with pytest.raises(MimctlError) as caught:
        ask(str(tmp_path / "mine"), "mine>=2", hand=hand)
    assert caught.value.causes == ("you asked for `mine>=2`", "`./mine` is version 1.5")
    assert wanted(ask(str(tmp_path / "mine"), "mine>=1", hand=hand)) == ["mine", "mine>=1"]


def test_two_places_of_one_name_are_refused(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    hand = Hand({"one": provided("mine"), "two": replace(provided("mine"), origin="./two")})
    with pytest.raises(MimctlError) as caught:
        ask(str(tmp_path / "one"), str(tmp_path / "two"), hand=hand)
    assert caught.value.causes == ("`./mine` is one", "`./two` is another")


def test_constraints_limit_and_bring_nothing(tmp_path):
    file = tmp_path / "limits.txt"
    file.write_text("numpy<2 ; python_version < '4'\n", encoding="utf-8")
    requests = ask("det", constraints=[str(file)])
    assert wanted(requests) == ["mimctl-det"]
    assert [str(each.requirement) for each in requests.constraints] == ['numpy<2; python_version < "4"']
    file.write_text("./here\n", encoding="utf-8")
    (tmp_path / "here").mkdir()
    with pytest.raises(UsageError) as caught:
        ask("det", constraints=[str(file)])
    assert caught.value.origin.line == 1


def test_hashes_are_gathered_by_name_and_can_be_asked_for(tmp_path):
    one, two = "0" * 64, "1" * 64
    file = tmp_path / "reqs.txt"
    text = f"--require-hashes\nNumPy==2.1.0 --hash=sha256:{one} --hash=sha256:{two}\nrich==13.0 --hash=sha256:{two}\n"
    file.write_text(text, encoding="utf-8")
    requests = ask(files=[str(file)])
    assert requests.hashes == {"numpy": {one, two}, "rich": {two}}
    numpy = Pick(name="numpy", version="2.1.0", file=INDEX.files[0])
    check_hashed(requests, Resolution(picks={"numpy": numpy, "kept": Pick(name="kept", version="1")}))
    with pytest.raises(UsageError) as caught:
        check_hashed(requests, Resolution(picks={"numpy": numpy, "more": replace(numpy, name="more")}))
    assert "`more`" in caught.value.message


@pytest.mark.parametrize("word", ["==1.0", "numpy==", "num py", "a;b", "-x", "numpy>=2 extra", "@", "[det]"])
def test_what_is_no_request_is_a_usage_error(word):
    with pytest.raises(UsageError) as caught:
        ask(word)
    assert caught.value.exit_code == 2


def test_places_are_told_from_names(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "det").mkdir()
    (tmp_path / "a folder [x]").mkdir()
    for name in ("mine-1.0-py3-none-any.whl", "mine-1.0.tar.gz", "mine-1.0.zip"):
        (tmp_path / name).write_bytes(b"")
    assert isinstance(parse_word("det"), Named)
    kinds = {
        "./det": ("folder", tmp_path / "det", set()),
        "./det[albu,x]": ("folder", tmp_path / "det", {"albu", "x"}),
        ".": ("folder", tmp_path, set()),
        ".[albu]": ("folder", tmp_path, {"albu"}),
        str(tmp_path / "det"): ("folder", tmp_path / "det", set()),
        (tmp_path / "a folder [x]").as_uri(): ("folder", tmp_path / "a folder [x]", set()),
        "mine-1.0-py3-none-any.whl": ("wheel", tmp_path / "mine-1.0-py3-none-any.whl", set()),
        "mine-1.0-py3-none-any.whl[x]": ("wheel", tmp_path / "mine-1.0-py3-none-any.whl", {"x"}),
        "mine-1.0.tar.gz": ("archive", tmp_path / "mine-1.0.tar.gz", set()),
        "./mine-1.0.zip": ("archive", tmp_path / "mine-1.0.zip", set()),
        f"mine[y] @ {(tmp_path / 'mine-1.0.zip').as_uri()}": ("archive", tmp_path / "mine-1.0.zip", {"y"}),
    }
    for word, (kind, address, extras) in kinds.items():
        found = parse_word(word)
        assert isinstance(found, Placed), word
        assert (found.kind, found.address, found.extras) == (kind, str(address), extras)


def test_addresses_are_taken_apart():
    digest = "a" * 64
    wheel = parse_word(f"https://me:pw@example.org/w/mine-1.0%2Bcpu-py3-none-any.whl?x=1#sha256={digest}")
    assert wheel == Placed(
        kind="wheel", address="https://me:pw@example.org/w/mine-1.0%2Bcpu-py3-none-any.whl?x=1", sha256=digest
    )
    assert "pw" not in wheel.shown
    repository = parse_word("git+https://example.org/group/project.git@release/v1.2#egg=mine[x]&subdirectory=python/it")
    assert repository == Placed(
        kind="repository",
        address="https://example.org/group/project.git",
        revision="release/v1.2",
        subdirectory="python/it",
        name="mine",
        extras=frozenset({"x"}),
    )
    ssh = parse_word("mine @ git+ssh://git@example.org/project.git")
    assert (ssh.address, ssh.revision, ssh.name) == ("ssh://git@example.org/project.git", None, "mine")


@pytest.mark.parametrize(
    ("word", "cause"),
    [
        ("./absent", "there is no such file or folder"),
        ("absent-1.0-py3-none-any.whl", "there is no such file or folder"),
        ("/dev/null", "it is no wheel, source archive or folder"),
        ("ftp://example.org/mine-1.0.tar.gz", "`ftp` is not one of"),
        ("https://example.org/page.html", "it names neither a wheel nor a source archive"),
        ("hg+https://example.org/project", "only git is known"),
        ("git+ext://sh -c id", "write `git+https://host/path@revision`"),
        ("git+https://example.org/p.git@--upload-pack=id", "there is no revision"),
        ("git+https://example.org/p.git#subdirectory=../..", "leads out of it"),
        ("https://example.org/mine-1.0.tar.gz#md5=0123", "only sha256 hashes can be checked"),
        ("https://example.org/mine-1.0.tar.gz#sha256=0123", "not 64 hexadecimal digits"),
    ],
)
def test_places_that_cannot_be_installed_from(word, cause):
    with pytest.raises(UsageError) as caught:
        parse_word(word)
    assert cause in caught.value.causes[0]


@given(st.text(max_size=40))
def test_no_word_ends_in_anything_but_an_answer_or_an_error(word):
    try:
        parse_word(word)
    except MimctlError as err:
        assert render(err)


@pytest.fixture
def workshop(venv: Path, public: object, tmp_path: Path) -> Workshop:
    """Return a workshop with a build backend of a few lines on the "public" index."""
    public.add("tiny-build", "1.0", {"tiny_build.py": BUILD_BACKEND})  # type: ignore[attr-defined]
    env = detect(venv)
    cache = tmp_path / "cache"
    return Workshop(env=env, backend=choose_backend(env), transfer=TransferSettings(retries=0), cache_dir=cache)


def hash_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_wheel_is_read_where_it_lies(workshop, wheel_writer, tmp_path):
    wheel = wheel_writer(tmp_path / "a folder", "mine", "1.5", {"mine.py": ""}, requires=["numpy"], extras=["x"])
    found = workshop.provide(parse_word(f"{wheel}[x]"))
    assert found.metadata == Metadata(name="mine", version="1.5", requires_dist=("numpy",), extras=("x",))
    assert (found.wheel, found.sha256, found.editable) == (wheel, hash_of(wheel), None)


def test_a_wheel_at_an_address_is_fetched_and_held_against_its_hash(workshop, wheel_writer, server, tmp_path):
    folder, url = server
    wheel = wheel_writer(folder / tmp_path.name, "mine", "1.5", {"mine.py": ""})
    address = f"{url}/{tmp_path.name}/{wheel.name}"
    for word in (address, f"{address}#sha256={hash_of(wheel)}"):
        found = workshop.provide(parse_word(word))
        assert found.wheel == tmp_path / "cache" / "wheels" / hash_of(wheel) / wheel.name
    with pytest.raises(IntegrityError) as caught:
        workshop.provide(parse_word(f"{address}#sha256={'0' * 64}"))
    assert caught.value.code == "hash-mismatch"
    with pytest.raises(IntegrityError):
        workshop.provide(parse_word(f"{wheel.as_uri()}#sha256={'0' * 64}"))


def test_a_wheel_for_another_platform_is_refused(workshop, wheel_writer, tmp_path):
    wheel = wheel_writer(tmp_path, "mine", "1.5", {"mine.py": ""}, tag="cp311-cp311-win_amd64")
    with pytest.raises(NoCompatibleBuildError) as caught:
        workshop.provide(parse_word(str(wheel)))
    assert caught.value.exit_code == 3


def test_a_wheel_that_is_called_otherwise_is_refused(workshop, wheel_writer, tmp_path):
    wheel = wheel_writer(tmp_path, "mine", "1.5", {"mine.py": ""})
    with pytest.raises(IntegrityError) as caught:
        workshop.provide(parse_word(f"yours @ {wheel.as_uri()}"))
    assert caught.value.message == f"`{wheel}` is `mine`, not `yours`"
    other = wheel.rename(wheel.with_name("yours-1.5-py3-none-any.whl"))
    with pytest.raises(IntegrityError):
        workshop.provide(parse_word(str(other)))


def test_an_editable_folder_is_read_without_being_built(workshop, tmp_path):
    folder = write_project(tmp_path / "source")
    found = workshop.provide(parse_word(str(folder)), is_editable=True)
    assert (found.editable, found.wheel) == (folder, None)
    assert found.metadata == Metadata(
        name="mine",
        version="1.5",
        requires_dist=("numpy>=1.24", 'rich; extra == "some-extra"'),
        requires_python=">=3.11",
        extras=("some-extra",),
    )
    assert not (tmp_path / "cache").exists()


def test_an_editable_folder_whose_build_tells_what_it_needs_is_built(workshop, tmp_path):
    found = workshop.provide(parse_word(str(write_project(tmp_path / "source", is_dynamic=True))), is_editable=True)
    assert found.metadata.version == "1.5"
    assert found.editable is not None


def archive(source: Path, path: Path, *, top: str = "mine-1.5") -> Path:
    """Pack a project."""
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as packed:
            for file in source.iterdir():
                packed.write(file, f"{top}/{file.name}")
    else:
        with tarfile.open(path, "w:gz") as packed:
            packed.add(source, top)
    return path


@pytest.mark.parametrize("ending", [".tar.gz", ".zip"])
def test_folders_and_archives_are_built_into_the_cache(workshop, server, tmp_path, ending):
    source = write_project(tmp_path / "source")
    folder, url = server
    (folder / tmp_path.name).mkdir()
    packed = archive(source, folder / tmp_path.name / f"mine-1.5{ending}")
    for word in (str(source), str(packed), f"{url}/{tmp_path.name}/{packed.name}#sha256={hash_of(packed)}"):
        found = workshop.provide(parse_word(word))
        assert found.metadata.requires_dist == ("numpy>=1.24",)
        assert found.wheel == tmp_path / "cache" / "wheels" / found.sha256 / "mine-1.5-py3-none-any.whl"
        assert hash_of(found.wheel) == found.sha256
    assert not list((tmp_path / "cache").glob(".build-*"))


def test_an_archive_that_leaves_its_folder_is_refused(workshop, tmp_path):
    evil = tmp_path / "mine-1.5.tar.gz"
    with tarfile.open(evil, "w:gz") as packed:
        member = tarfile.TarInfo("mine-1.5/../../evil.py")
        packed.addfile(member, io.BytesIO())
    with pytest.raises(UnsafeFileError) as caught:
        workshop.provide(parse_word(str(evil)))
    assert caught.value.code == "unsafe-archive"
    with tarfile.open(evil, "w:gz") as packed:
        member = tarfile.TarInfo("mine-1.5/link")
        member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
        packed.addfile(member)
    with pytest.raises(UnsafeFileError):
        workshop.provide(parse_word(str(evil)))
    (tmp_path / "broken-1.0.zip").write_bytes(b"no archive")
    with pytest.raises(IntegrityError):
        workshop.provide(parse_word(str(tmp_path / "broken-1.0.zip")))


def git(folder: Path, *arguments: str) -> str:
    """Run git in a folder and return what it says."""
    who = {f"GIT_{role}_{what}": "t@example.org" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    argv = ["git", "-C", str(folder), "-c", "init.defaultBranch=main", *arguments]
    return subprocess.run(argv, env={**os.environ, **who}, capture_output=True, text=True, check=True).stdout.strip()


def test_repositories_are_built_at_a_branch_a_tag_and_a_commit(workshop, tmp_path):
    source = write_project(tmp_path / "a repository" / "python").parent
    git(source, "init", "--quiet")
    git(source, "add", ".")
    git(source, "commit", "--quiet", "-m", "one")
    git(source, "tag", "v1")
    first = git(source, "rev-parse", "HEAD")
    pyproject = source / "python" / "pyproject.toml"
    pyproject.write_text(pyproject.read_text(encoding="utf-8").replace("1.5", "2.0"), encoding="utf-8")
    git(source, "checkout", "--quiet", "-b", "new/line")
    git(source, "commit", "--quiet", "-a", "-m", "two")
    git(source, "checkout", "--quiet", "main")
    address = f"git+{source.as_uri()}"
    versions = {"": "1.5", "@v1": "1.5", "@new/line": "2.0", f"@{first}": "1.5", f"@{first[:9]}": "1.5"}
    for revision, version in versions.items():
        found = workshop.provide(parse_word(f"{address}{revision}#subdirectory=python"))
        assert found.metadata.version == version
    with pytest.raises(MimctlError) as caught:
        workshop.provide(parse_word(f"{address}@absent#subdirectory=python"))
    assert caught.value.code == "repository"
    with pytest.raises(UsageError) as caught:
        workshop.provide(parse_word(address))
    assert caught.value.code == "no-such-place"


def test_a_repository_that_is_not_there_shows_no_secret(workshop):
    with pytest.raises(MimctlError) as caught:
        workshop.provide(parse_word("git+http://me:secret@127.0.0.1:9/project.git"))
    assert caught.value.exit_code == 4
    assert "secret" not in render(caught.value)


def test_what_is_no_project_is_said_so(workshop, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError) as caught:
        workshop.provide(parse_word(str(tmp_path / "empty")))
    assert caught.value.code == "no-such-place"
    wrong = write_project(tmp_path / "wrong")
    (wrong / "pyproject.toml").write_text('[project]\nname = "x"\nversion = "one"\n', encoding="utf-8")
    with pytest.raises(MimctlError) as caught:
        workshop.provide(parse_word(str(wrong)), is_editable=True)
    assert caught.value.code == "bad-project"
    (wrong / "pyproject.toml").write_text("[project\n", encoding="utf-8")
    with pytest.raises(MimctlError):
        workshop.provide(parse_word(str(wrong)), is_editable=True)

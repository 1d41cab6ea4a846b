"""Requirements files are read as pip reads them; what cannot be read names file and line."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mimctl.errors import UsageError
from mimctl.installer.asking.requests import gather
from mimctl.installer.asking.requirements_file import FileContents, read_requirements
from mimctl.transfer import TransferSettings

HASH = "0" * 63 + "a"


def read(folder: Path, text: str, *, name: str = "reqs.txt", **environ: str) -> FileContents:
    """Write a file and read it."""
    (folder / name).write_text(text, encoding="utf-8")
    return read_requirements(
        str(folder / name), environ=environ, read=lambda path: Path(path).read_text(encoding="utf-8-sig")
    )


def texts(contents: FileContents) -> list[str]:
    """Return what is asked for."""
    return [line.text for line in contents.lines]


def test_every_form_of_a_request_is_one_line(tmp_path):
    contents = read(
        tmp_path,
        "\ufeff# numbers\n"
        "numpy>=1.24 ; python_version >= '3.11'  # they are\n"
        "\n"
        "pillow \\\n"
        "    >=9\n"
        "det[albu]\n"
        "./wheels/a#b-1.0-py3-none-any.whl\n"
        "mine @ https://example.org/mine-1.0.tar.gz#sha256=0123\n"
        "git+https://example.org/project.git@v1#subdirectory=python\n"
        "-e ./here\n"
        "--editable=./there\n",
    )
    assert [(line.text, line.origin.line, line.is_editable) for line in contents.lines] == [
        ("numpy>=1.24 ; python_version >= '3.11'", 2, False),
        ("pillow     >=9", 4, False),
        ("det[albu]", 6, False),
        ("./wheels/a#b-1.0-py3-none-any.whl", 7, False),
        ("mine @ https://example.org/mine-1.0.tar.gz#sha256=0123", 8, False),
        ("git+https://example.org/project.git@v1#subdirectory=python", 9, False),
        ("./here", 10, True),
        ("./there", 11, True),
    ]


def test_options_say_where_packages_come_from(tmp_path):
    (tmp_path / "wheels").mkdir()
    contents = read(
        tmp_path,
        "-i https://one.example/simple\n"
        "--extra-index-url=https://two.example/simple\n"
        "--extra-index-url https://three.example/simple\n"
        "-f wheels\n"
        "--find-links https://four.example/wheels.html\n"
        "--trusted-host two.example\n"
        "--no-index\n--pre\n--require-hashes\n--prefer-binary\n--only-binary :all:\n"
        "--no-binary one,two\n",
    )
    assert contents == FileContents(
        index_url="https://one.example/simple",
        extra_index_urls=("https://two.example/simple", "https://three.example/simple"),
        find_links=(str(tmp_path / "wheels"), "https://four.example/wheels.html"),
        trusted_hosts=("two.example",),
        no_index=True,
        pre=True,
        requires_hashes=True,
        builds=frozenset({"one", "two"}),
    )


def test_files_name_files_beside_themselves(tmp_path):
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "limits.txt").write_text("pillow<12\n", encoding="utf-8")
    (tmp_path / "more" / "inner.txt").write_text("pillow\n-c limits.txt\n", encoding="utf-8")
    contents = read(tmp_path, "numpy\n-rmore/inner.txt\nscipy\n")
    assert texts(contents) == ["numpy", "pillow", "scipy"]
    (limit,) = contents.constraints
    assert (limit.text, limit.origin.file, limit.origin.line) == ("pillow<12", str(tmp_path / "more/limits.txt"), 1)


def test_a_requirements_file_named_by_a_constraint_is_a_constraint_too(tmp_path):
    (tmp_path / "inner.txt").write_text("numpy<3\n", encoding="utf-8")
    contents = read(tmp_path, "-c inner.txt\n")
    assert contents.lines == ()
    assert [line.text for line in contents.constraints] == ["numpy<3"]


def test_hashes_stand_behind_a_request(tmp_path):
    contents = read(tmp_path, f"numpy==2.1.0 \\\n  --hash=sha256:{HASH} \\\n  --hash sha256:{HASH.upper()[:-1]}B\n")
    (line,) = contents.lines
    assert line.text == "numpy==2.1.0"
    assert line.sha256 == {HASH, HASH[:-1] + "b"}


def test_variables_are_replaced_where_they_are_set(tmp_path):
    text = "-i https://${USER_NAME}:${TOKEN}@example.org/simple\nnumpy==${ABSENT}\nscipy ${lower}\n"
    contents = read(tmp_path, text, USER_NAME="me", TOKEN="secret", lower="no")
    assert contents.index_url == "https://me:secret@example.org/simple"
    assert texts(contents) == ["numpy==${ABSENT}", "scipy ${lower}"]


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("numpy\n\n--nonsense\n", 3, "unknown option `--nonsense`"),
        ("-r\n", 1, "`-r` needs a value"),
        ("-r absent.txt\n", 1, "cannot be read"),
        ("--index-url a b\n", 1, "`b` is too much"),
        ("--pre=yes\n", 1, "unknown option `--pre`"),
        ("numpy --hash=md5:0123\n", 1, "`md5:0123` is no hash"),
        ("numpy --hash=sha512:0123\n", 1, "only sha256 hashes can be checked"),
        ("# one\nnumpy --global-option=x\n", 2, "`--global-option` has no meaning"),
        ("--no-binary :all:\n", 1, "`--no-binary :all:` is not done"),
        ("-e 'open\n", 1, "open quotation mark"),
        ("numpy\n-r reqs.txt\n", 2, "names itself"),
    ],
)
def test_what_cannot_be_read_names_file_and_line(tmp_path, text, line, message):
    with pytest.raises(UsageError) as caught:
        read(tmp_path, text)
    assert caught.value.code == "requirements-file"
    assert message in caught.value.message
    assert caught.value.origin.file == str(tmp_path / "reqs.txt")
    assert caught.value.origin.line == line


def test_a_file_that_is_not_there_or_no_text_is_said_so(tmp_path):
    (tmp_path / "bytes.txt").write_bytes(b"\xff\xfe\x00numpy")
    for name, cause in (("absent.txt", "No such file"), ("bytes.txt", "not UTF-8")):
        with pytest.raises(UsageError) as caught:
            gather(files=[str(tmp_path / name)], environ={}, transfer=TransferSettings())
        assert cause in caught.value.causes[0]


def test_files_of_addresses_are_read_with_what_they_name(server, tmp_path):
    folder, url = server
    place = folder / f"reqs-{tmp_path.name}"
    (place / "more").mkdir(parents=True)
    (place / "reqs.txt").write_text("numpy\n-r more/inner.txt\n", encoding="utf-8")
    (place / "more" / "inner.txt").write_text("scipy\n", encoding="utf-8")
    contents = gather(["det"], files=[f"{url}/{place.name}/reqs.txt"], environ={}, transfer=TransferSettings())
    assert texts(contents) == ["det", "numpy", "scipy"]


WORDS = st.sampled_from(
    ["numpy", "a>=1 # x", "# c", "", "b \\", "  \\", "\\", "c#d", "-i http://x/y", "e ; python_version>'3'", "f\\ # g"]
)


@given(st.lists(WORDS, max_size=7))
def test_lines_are_joined_and_stripped_as_pip_does(lines):
    ours = read_requirements("x", environ={}, read=lambda _: "\n".join(lines))
    assert texts(ours) == [text for text in _pip_lines("\n".join(lines)) if not text.startswith("-")]


def _pip_lines(text: str) -> list[str]:
    reference = pytest.importorskip("pip._internal.req.req_file")  # the one place where pip's own code is asked
    return [line for _, line in reference.preprocess(text)]

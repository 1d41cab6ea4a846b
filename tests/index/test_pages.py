"""Project pages, HTML and JSON, are read as their documents say, whatever else stands in them."""

from __future__ import annotations

import json
import time
from html import escape
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.tags import parse_tag
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename

from mimctl.errors import MimctlError
from mimctl.index.collector import Page
from mimctl.index.filenames import NameReader, is_safe, normalise
from mimctl.index.pages import parse_links, parse_names, parse_page

SHA = "a1" * 32
URL = "https://host/simple/demo/"
JSON = "application/vnd.pypi.simple.v1+json"


def html(*anchors: str, head: str = "") -> bytes:
    return f"<!DOCTYPE html><html><head>{head}</head><body>{'<br>'.join(anchors)}</body></html>".encode()


def page(body: bytes, *, url: str = URL, kind: str = "text/html", project: str = "demo") -> Page:
    return parse_page(body, project=project, url=url, address="https://host/simple", content_type=kind)


def document(*files: dict[str, object], version: str = "1.1") -> bytes:
    return json.dumps({"meta": {"api-version": version}, "name": "demo", "files": list(files)}).encode()


def entry(filename: str = "demo-1.0-py3-none-any.whl", **changes: object) -> dict[str, object]:
    return {"filename": filename, "url": f"/files/{filename}", "hashes": {"sha256": SHA}, **changes}


def one(found: Page):
    assert len(found.files) == 1
    return found.files[0]


def test_all_that_an_anchor_says():
    file = one(
        page(
            html(
                f'<a href="../../f/demo-1.0%2Bcpu-cp311.cp312-abi3-manylinux_2_17_x86_64.manylinux2014_x86_64.whl'
                f'#sha256={SHA.upper()}" data-requires-python="&gt;=3.8, &lt;4" data-yanked="broken &amp; old" '
                f'data-core-metadata="sha256={SHA}">demo</a>'
            )
        )
    )
    assert file.filename == "demo-1.0+cpu-cp311.cp312-abi3-manylinux_2_17_x86_64.manylinux2014_x86_64.whl"
    assert file.url == f"https://host/f/{quote(file.filename)}"
    assert (file.version, file.sha256, file.metadata_sha256, file.has_metadata) == ("1.0+cpu", SHA, SHA, True)
    assert (file.requires_python, file.yanked) == (">=3.8, <4", "broken & old")
    assert set(file.tags) == {
        f"{python}-abi3-{platform}"
        for python in ("cp311", "cp312")
        for platform in ("manylinux_2_17_x86_64", "manylinux2014_x86_64")
    }


@pytest.mark.parametrize(
    ("attributes", "yanked"),
    [("", None), ("data-yanked", "no reason given"), ('data-yanked=""', "no reason given"), ("data-yanked='x'", "x")],
)
def test_withdrawn_files(attributes, yanked):
    assert one(page(html(f'<a href="demo-1.0-py3-none-any.whl" {attributes}>x</a>'))).yanked == yanked


@pytest.mark.parametrize(
    ("attributes", "has", "sha256"),
    [
        ("", False, None),
        (f'data-dist-info-metadata="sha256={SHA}"', True, SHA),
        ('data-core-metadata="true"', True, None),
        (f'data-dist-info-metadata="true" data-core-metadata="sha256={SHA}"', True, SHA),
    ],
)
def test_metadata_of_its_own(attributes, has, sha256):
    file = one(page(html(f'<a href="demo-1.0-py3-none-any.whl" {attributes}>x</a>')))
    assert (file.has_metadata, file.metadata_sha256) == (has, sha256)


@pytest.mark.parametrize(
    ("tag", "url"),
    [
        ('<A HREF="demo-1.0-py3-none-any.whl">x</A>', URL + "demo-1.0-py3-none-any.whl"),
        ("<a class=x href=demo-1.0-py3-none-any.whl>x</a>", URL + "demo-1.0-py3-none-any.whl"),
        ("<a\n  href = 'demo-1.0-py3-none-any.whl'\n>x</a>", URL + "demo-1.0-py3-none-any.whl"),
        ('<a title=">" href="/f/demo-1.0-py3-none-any.whl">x</a>', "https://host/f/demo-1.0-py3-none-any.whl"),
        ('<a href="//cdn/demo-1.0-py3-none-any.whl">x</a>', "https://cdn/demo-1.0-py3-none-any.whl"),
        (
            '<a href="http://cdn/demo-1.0-py3-none-any.whl?token=1">x</a>',
            "http://cdn/demo-1.0-py3-none-any.whl?token=1",
        ),
        ('<a href="f?x=/../demo-1.0-py3-none-any.whl">x</a>', None),
    ],
)
def test_spellings_of_an_anchor(tag, url):
    found = page(html(tag)).files
    assert [file.url for file in found] == ([url] if url else [])


def test_the_base_of_a_page_and_what_is_commented_out():
    body = html(
        '<a href="demo-1.0-py3-none-any.whl">x</a>',
        '<!-- <a href="demo-2.0-py3-none-any.whl">x</a> -->',
        head='<base href="https://cdn/x/"><meta name="pypi:repository-version" content="1.3">',
    )
    assert one(page(body)).url == "https://cdn/x/demo-1.0-py3-none-any.whl"


def test_only_the_projects_own_files_count():
    names = ["Demo-1.0-py3-none-any.whl", "demo_more-1.0-py3-none-any.whl", "demo-1.0.exe", "demo-x-py3-none-any.whl"]
    names += ["demo-1.0.tar.gz", "demo-1.1.zip", "demo-more-1.0.tar.gz", "demo-1.0-cp311-manylinux.whl", "../"]
    found = page(html(*(f'<a href="{name}">{name}</a>' for name in names)))
    assert [file.filename for file in found.files] == ["Demo-1.0-py3-none-any.whl"]
    assert found.sdists == ("demo-1.0.tar.gz", "demo-1.1.zip")


def test_a_name_that_stands_for_thousands_of_tags_is_none():
    parts = ".".join(f"a{number}" for number in range(15))
    assert page(html(f'<a href="demo-1.0-{parts}-{parts}-{parts}.whl">x</a>')) == Page()


def test_json_says_the_same_and_the_size():
    files = [
        entry(size=5, **{"requires-python": ">=3.8", "core-metadata": {"sha256": SHA}, "yanked": False}),
        entry("demo-2.0-py3-none-any.whl", yanked="old", **{"core-metadata": True}),
        entry("demo-3.0-py3-none-any.whl", yanked=True, **{"dist-info-metadata": {"sha256": SHA}}),
        entry("demo-3.0.tar.gz", hashes={"md5": "x"}),
    ]
    found = page(document(*files), kind=f"{JSON}; charset=utf-8")
    first, second, third = found.files
    assert (first.url, first.size, first.sha256) == ("https://host/files/demo-1.0-py3-none-any.whl", 5, SHA)
    assert (first.requires_python, first.metadata_sha256, first.yanked) == (">=3.8", SHA, None)
    assert (second.yanked, second.has_metadata, second.metadata_sha256) == ("old", True, None)
    assert (third.yanked, third.metadata_sha256) == ("no reason given", SHA)
    assert found.sdists == ("demo-3.0.tar.gz",)


@pytest.mark.parametrize(
    ("body", "kind", "code"),
    [
        (document(version="2.0"), JSON, "index-version"),
        (document(version=""), JSON, "bad-index"),
        (b"[]", JSON, "bad-index"),
        (b"{}", JSON, "bad-index"),
        (b"<html>sign in</html>", JSON, "bad-index"),
        (document({"filename": "demo-1.0-py3-none-any.whl"}), JSON, "bad-index"),
        (document(7), JSON, "bad-index"),  # type: ignore[arg-type]
        (document(entry(hashes={"sha256": "12"})), JSON, "bad-index"),
        (document(entry("../demo-1.0-py3-none-any.whl")), JSON, "bad-index"),
        (document(entry("demo-1.0-py3-none-any\n.whl")), JSON, "bad-index"),
        (document(entry("demo-1.0-py3-none-..\\any.whl")), JSON, "bad-index"),
        (document(entry(url="file:///etc/demo-1.0-py3-none-any.whl")), JSON, "bad-index"),
        (html(head='<meta name="pypi:repository-version" content="2.0">'), "text/html", "index-version"),
        (html(f'<a href="demo-1.0-py3-none-any.whl#sha256={SHA[:-1]}">x</a>'), "text/html", "bad-index"),
        (html('<a href="file:///etc/demo-1.0-py3-none-any.whl">x</a>'), "text/html", "bad-index"),
        (html('<a href="..%2f..%2fdemo-1.0-py3-none-any.whl">x</a>'), "text/html", "bad-index"),
        (html('<a href="demo-1.0-py3-none-any%00.whl">x</a>'), "text/html", "bad-index"),
        (html('<a href="demo-1.0-py3-none-any%1b[2J.whl">x</a>'), "text/html", "bad-index"),
    ],
)
def test_a_page_that_lies_is_refused(body, kind, code):
    with pytest.raises(MimctlError) as caught:
        page(body, kind=kind)
    assert caught.value.code == code
    assert all(text.isprintable() for text in (caught.value.message, *caught.value.causes))


def test_an_address_of_the_page_is_shown_without_its_login():
    with pytest.raises(MimctlError) as caught:
        page(b"{}", kind=JSON, url="https://me:hunter2@host/simple/demo/")
    assert "hunter2" not in str(caught.value.to_dict())


def test_a_page_of_links_holds_wheels_of_many_projects():
    body = html(
        '<a href="demo-1.0-py3-none-any.whl">x</a>',
        '<a href="other-1.0-py3-none-any.whl">x</a>',
        '<a href="%2f..">x</a>',
    )
    found = parse_links(body, project="demo", url="https://host/links.html", address="https://host/links.html")
    assert one(found).url == "https://host/demo-1.0-py3-none-any.whl"
    assert parse_links(b"no page", project="demo", url="https://host/x", address="https://host/x") == Page()


def test_the_names_in_a_folder():
    names = ["demo-1.0-py3-none-any.whl", "demo-1.0.tar.gz", "other-1.0-py3-none-any.whl", "README"]
    found = parse_names(names, project="demo", address="/w", join=lambda name: f"/w/{name}")
    assert one(found).url == "/w/demo-1.0-py3-none-any.whl"
    assert (one(found).sha256, found.sdists) == (None, ("demo-1.0.tar.gz",))


def test_the_label_of_our_own_wheels_tells_their_build():
    names = ["mimctl_ops-0.3.0%2Bcu13-py3-none-manylinux_2_28_x86_64.whl", "mimctl_ops-0.3.0-py3-none-any.whl"]
    names += ["mimctl_ops-0.3.0-py3-none-manylinux_2_28_x86_64.whl"]
    found = page(html(*(f'<a href="{name}">x</a>' for name in names)), project="mimctl-ops")
    assert [file.build and file.build.backend for file in found.files] == ["cu13", "python", None]
    pure = page(html('<a href="mimctl_det-0.3.0-py3-none-any.whl">x</a>'), project="mimctl-det")
    assert one(pure).build is None
    torch = page(html('<a href="torch-2.13.0%2Bcu130-cp311-cp311-linux_x86_64.whl">x</a>'), project="torch")
    assert one(torch).build is None


tag_words = st.from_regex(r"[a-z]{2}[0-9]{1,2}", fullmatch=True)
words = st.text("abcdefghijklmnopqrstuvwxyz0123456789", min_size=1, max_size=8)
versions = st.from_regex(
    r"[0-9]{1,2}(\.[0-9]{1,2}){0,2}((a|b|rc)[0-9])?(\.post[0-9])?(\+[a-z]{1,3}[0-9]?)?", fullmatch=True
)
texts = st.text(st.characters(codec="utf-8", exclude_categories=("Cs",)), max_size=30)


@given(
    name=words,
    version=versions,
    build=st.one_of(st.none(), st.integers(0, 99)),
    tags=st.tuples(tag_words, words.filter(str.isalpha), words.filter(str.isalpha)),
)
def test_names_of_wheels_are_read_as_packaging_reads_them(name, version, build, tags):
    middle = "" if build is None else f"-{build}"
    filename = f"{name}-{version}{middle}-{'-'.join(tags)}.whl"
    found = NameReader(normalise(name)).wheel(filename)
    theirs = parse_wheel_filename(filename)
    assert found == (str(theirs[1]), tuple(map(str, theirs[3])))


@given(texts.map(lambda text: f"demo-1.0-{text}.whl") | texts.map(lambda text: f"{text}-1.0-py3-none-any.whl") | texts)
def test_no_unsafe_name_is_ever_read_as_a_wheel(filename):
    found = NameReader("demo").wheel(filename)
    if found is None:
        return
    assert is_safe(filename)
    assert filename.isprintable()
    assert not {"/", "\\"} & set(filename)
    try:
        name, version, _, tags = parse_wheel_filename(filename)
    except InvalidWheelFilename:
        return  # packaging is stricter about the spelling of a name
    assert (canonicalize_name(name), str(version)) == ("demo", found[0])
    assert (
        {tag.lower() for tag in found[1]}
        == {str(tag) for tag in tags}
        == set(map(str, parse_tag("-".join(filename[:-4].split("-")[-3:]))))
    )


@given(
    python=st.one_of(st.none(), texts.filter(lambda text: text.strip())),
    yanked=st.one_of(st.none(), texts),
    folder=st.lists(words, max_size=3).map("/".join),
)
def test_what_is_written_into_an_anchor_is_read_back(python, yanked, folder):
    says = "" if python is None else f' data-requires-python="{escape(python)}"'
    says += "" if yanked is None else f' data-yanked="{escape(yanked)}"'
    file = one(page(html(f'<a href="/{folder}/demo-1.0-py3-none-any.whl"{says}>x</a>')))
    assert file.requires_python == python
    assert file.yanked == (None if yanked is None else yanked or "no reason given")


@settings(deadline=None)
@given(
    st.binary(max_size=300)
    | texts.map(str.encode)
    | st.lists(
        st.sampled_from(
            [
                "<a ",
                "href=",
                '"',
                "'",
                ">",
                "<!--",
                "-->",
                "demo-1.0-py3-none-any.whl",
                "#sha256=",
                "=",
                " ",
                "<base ",
                "{",
                "data-yanked",
            ]
        ),
        max_size=30,
    ).map(lambda words: "".join(words).encode())
)
def test_whatever_the_bytes_a_page_is_read_or_refused(body):
    for kind in ("text/html", JSON, "", "text/html; charset=nonsense"):
        try:
            found = page(body, kind=kind)
        except MimctlError as err:
            assert err.code in ("bad-index", "index-version")
        else:
            assert all(file.url.startswith(("http://", "https://")) for file in found.files)


@pytest.mark.parametrize(
    "piece", ["<a ", '<a "', "<a '\"", "<!--", "<base ", "<meta ", '<a href="demo-1.0-py3-none-any.whl', "a=' ", " = "]
)
def test_a_hostile_page_costs_time_in_proportion_to_its_length(piece):
    """Twenty times the page, far less than the square of that in time."""

    def seconds(num: int) -> float:
        body = (piece * num).encode()
        begin = time.process_time()
        page(body)
        return time.process_time() - begin

    small = min(seconds(2_000) for _ in range(3))
    assert seconds(40_000) < max(small, 0.002) * 150

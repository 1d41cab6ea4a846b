"""One place for each name: mimctl's indexes, then pip's and uv's; cached, and never asked for elsewhere."""

from __future__ import annotations

import hashlib
import json
import zipfile
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import pytest
from made_environment import make_env
from package_web import Web
from tiny_wheels import write_ops_wheel, write_wheel

from mimctl.errors import IntegrityError, MimctlError, NetworkError
from mimctl.index.client import IndexClient
from mimctl.index.sources import PackageSources
from mimctl.resolution.catalog import IndexCatalog
from mimctl.selection.choose import choose
from mimctl.selection.torch_build import TorchBuild
from mimctl.transfer import TransferSettings

ACCEPTS_JSON = "application/vnd.pypi.simple.v1+json"


@pytest.fixture
def web():
    server = Web()
    yield server
    server.close()


@pytest.fixture
def other():
    server = Web()
    yield server
    server.close()


@pytest.fixture
def make(tmp_path):
    """Return what makes a catalog; the cache is the same for all of one test."""

    def catalog(*addresses, offline=False, retries=0, **options) -> IndexCatalog:
        keys = ("torch_index", "torch", "env", "strategy")
        more = {key: options.pop(key) for key in keys if key in options}
        transfer = TransferSettings(offline=offline, retries=retries, timeout_s=60)
        cache = tmp_path / "cache"
        client = IndexClient(addresses, transfer, cache)
        return IndexCatalog(
            client=client, sources=PackageSources(**options), transfer=transfer, cache_dir=cache, **more
        )

    return catalog


def wheel(folder: Path, name: str = "demo-1.0-py3-none-any.whl", metadata: str = "", **options) -> Path:
    return write_wheel(folder, name, metadata=metadata, **options)


def versions(found) -> list[str]:
    return sorted(file.version for file in found.files)


def site(folder: Path, *wheels: Path) -> Path:
    """Write an index of ours by hand."""
    files = []
    for each in wheels:
        name, version, *_ = each.name.split("-")
        data = each.read_bytes()
        (folder / "files").mkdir(parents=True, exist_ok=True)
        (folder / "files" / each.name).write_bytes(data)
        files.append(
            {
                "project": name.replace("_", "-"),
                "filename": each.name,
                "url": f"files/{quote(each.name)}",
                "sha256": hashlib.sha256(data).hexdigest(),
                "size": len(data),
                "version": version,
                "tags": ["py3-none-any"],
                "requires_dist": ["numpy>=2; extra == 'more'"],
                "provides_extra": ["more"],
            }
        )
    folder.mkdir(exist_ok=True)
    (folder / "index.json").write_text(json.dumps({"schema_version": 1, "generator": "mimctl 0", "files": files}))
    return folder


# Which place serves a name


def test_an_extra_index_comes_before_the_index_and_the_first_alone_counts(web, other, make, tmp_path):
    web.add(wheel(tmp_path, "demo-1.0-py3-none-any.whl"))
    other.add(wheel(tmp_path, "demo-99.0-py3-none-any.whl"))
    other.add(wheel(tmp_path, "public-1.0-py3-none-any.whl"))
    extra, main = f"{web.address}/simple", f"{other.address}/simple"
    found = make(extra_index_urls=(extra,), index_url=main)
    assert versions(found.project("demo")) == ["1.0"]
    assert found.project("demo").looked_in == (extra,)
    assert "/simple/demo/" not in other.asked
    assert versions(found.project("public")) == ["1.0"]
    assert found.project("public").looked_in == (extra, main)
    best = make(extra_index_urls=(extra,), index_url=main, strategy="best")
    assert versions(best.project("demo")) == ["1.0", "99.0"]


@pytest.mark.parametrize("status", [401, 403, 500])
def test_a_private_index_that_does_not_answer_sends_no_name_to_a_public_one(web, other, make, tmp_path, status):
    other.add(wheel(tmp_path, "demo-99.0-py3-none-any.whl"))
    web.statuses["/simple/demo/"] = status
    found = make(extra_index_urls=(f"{web.address}/simple",), index_url=f"{other.address}/simple")
    found.prefetch(["demo", "more"])
    with pytest.raises(MimctlError) as caught:
        found.project("demo")
    assert caught.value.code == ("network" if status == 500 else "http-status")
    assert "/simple/demo/" not in other.asked


def test_an_index_that_is_not_there_is_an_error(other, make, tmp_path):
    other.add(wheel(tmp_path, "demo-99.0-py3-none-any.whl"))
    found = make(extra_index_urls=("http://127.0.0.1:9/simple",), index_url=f"{other.address}/simple")
    with pytest.raises(NetworkError):
        found.project("demo")
    assert other.asked == []


def test_names_of_ours_are_looked_up_in_mimctls_indexes_only(web, make, tmp_path):
    web.add(wheel(tmp_path, "mimctl_det-99.0-py3-none-any.whl"))
    links = tmp_path / "links"
    wheel(links, "mimctl_det-98.0-py3-none-any.whl")
    ours = site(tmp_path / "site", wheel(tmp_path, "mimctl_ops-0.1.0-py3-none-any.whl"))
    found = make(str(ours), index_url=f"{web.address}/simple", find_links=(str(links),))
    assert found.project("mimctl-det").files == ()
    assert versions(found.project("mimctl-ops")) == ["0.1.0"]
    assert make(index_url=f"{web.address}/simple").project("mimctl").looked_in == ()
    assert web.asked == []


def test_what_an_index_of_mimctl_carries_comes_from_it_alone(web, make, tmp_path):
    web.add(wheel(tmp_path, "demo-99.0-py3-none-any.whl"))
    first = site(tmp_path / "first", wheel(tmp_path, "demo-1.0-py3-none-any.whl"))
    second = site(tmp_path / "second", wheel(tmp_path, "demo-2.0-py3-none-any.whl"))
    links = tmp_path / "links"
    wheel(links, "demo-3.0-py3-none-any.whl")
    options = {"index_url": f"{web.address}/simple", "find_links": (str(links),)}
    for strategy in ("first", "best"):
        found = make(str(first), str(second), strategy=strategy, **options)
        assert versions(found.project("demo")) == ["1.0"]
    assert web.asked == []


def test_find_links_are_added_to_what_the_index_has(web, make, tmp_path):
    web.add(wheel(tmp_path, "demo-1.0-py3-none-any.whl"))
    web.add(wheel(tmp_path, "demo-2.0-py3-none-any.whl"))
    links = tmp_path / "my links"
    local = wheel(links, "demo-2.0-py3-none-any.whl", metadata="Summary: mine\n")
    (links / "demo-3.0.tar.gz").write_bytes(b"")
    wheel(links, "other-1.0-py3-none-any.whl")
    found = make(index_url=f"{web.address}/simple", find_links=(str(links), str(tmp_path / "absent"))).project("demo")
    assert versions(found) == ["1.0", "2.0"]
    assert found.sdists == ("demo-3.0.tar.gz",)
    assert next(file for file in found.files if file.version == "2.0").url == str(local)


@pytest.mark.parametrize("form", ["{folder}", "file://{folder}", "file://{folder}/", "{wheel}", "{page}", "~"])
def test_find_links_in_all_their_forms(web, make, tmp_path, monkeypatch, form):
    folder = tmp_path / "links"
    path = wheel(folder)
    monkeypatch.setenv("HOME", str(folder))
    (tmp_path / "page.html").write_text('<a href="links/demo-1.0-py3-none-any.whl">x</a>')
    link = form.format(folder=folder, wheel=path, page=(tmp_path / "page.html").as_uri())
    catalog = make(find_links=(link,))
    file = catalog.project("demo").files[0]
    assert catalog.metadata(file).version == "1.0"
    assert catalog.fetch(file).read_bytes() == path.read_bytes()


def test_a_page_of_links_on_a_server(web, make, tmp_path):
    data = wheel(tmp_path).read_bytes()
    web.pages["/w/demo-1.0-py3-none-any.whl"] = ("application/zip", data)
    web.pages["/links.html"] = ("text/html", b'<a href="w/demo-1.0-py3-none-any.whl">x</a><a href="/evil">x</a>')
    catalog = make(find_links=(f"{web.address}/links.html", f"{web.address}/absent.html"))
    file = catalog.project("demo").files[0]
    assert catalog.fetch(file) == tmp_path / "cache/wheels" / hashlib.sha256(data).hexdigest() / file.filename


def test_an_index_in_a_folder(make, tmp_path):
    wheel(tmp_path / "index/demo", "demo-1.0-py3-none-any.whl")
    wheel(tmp_path / "index/files", "other-1.0-py3-none-any.whl")
    (tmp_path / "index/other").mkdir()
    anchor = '<a href="../files/other-1.0-py3-none-any.whl">x</a>'
    (tmp_path / "index/other/index.html").write_text(anchor)
    for root in (str(tmp_path / "index"), (tmp_path / "index").as_uri()):
        found = make(index_url=root)
        assert versions(found.project("demo")) == ["1.0"]
        assert found.fetch(found.project("other").files[0]).is_file()
        assert found.project("absent").files == ()


@pytest.mark.parametrize("place", ["/whl/simple", "/whl", "/list"])
def test_a_plain_index_serves_as_one_of_mimctl(web, make, tmp_path, place):
    """An address that ends in `/simple`, one that has `simple/` below it, one that is a list of projects itself."""
    root = "/list" if place == "/list" else "/whl/simple"
    name = "mimctl_ops-0.3.0+cu13-py3-none-manylinux_2_28_x86_64.whl"
    web.add(wheel(tmp_path, name, metadata="Requires-Dist: torch>=2.10\n"), root=root)
    marker = b'<meta name="pypi:repository-version" content="1.1"><a href="mimctl-ops/">mimctl-ops</a>'
    web.pages[f"{root}/"] = ("text/html", marker)
    catalog = make(f"{web.address}{place}")
    file = catalog.project("mimctl-ops").files[0]
    assert file.build is not None
    assert file.build.backend == "cu13"
    assert catalog.metadata(file).requires_dist == ("torch>=2.10",)
    assert catalog.project("demo").files == ()


@pytest.mark.parametrize("knows_ranges", [True, False])
def test_compiled_wheels_of_a_plain_index_say_themselves_how_they_were_built(web, make, tmp_path, knows_ranges):
    """As on `simple/` of an index of ours: no label tells that a wheel holds CUDA code, and for which GPUs."""
    web.knows_ranges = knows_ranges
    for path in (write_ops_wheel(tmp_path, "cu13"), write_ops_wheel(tmp_path, "python")):
        web.add(path)
    web.add(write_ops_wheel(tmp_path, "cu13", platform="manylinux_2_34_aarch64"))
    gpu_box = make_env(torch="2.13.0+cu130", driver="580.65.06", gpus=("9.0",))
    files = make(f"{web.address}/simple", env=gpu_box).project("mimctl-ops").files
    builds = [file.build and (file.build.backend, file.build.archs, file.build.min_driver) for file in files]
    assert builds == [("cu13", ("9.0",), "580"), ("python", (), None), None]
    chosen = choose(gpu_box, files).chosen
    assert chosen is not None
    assert chosen.filename == "mimctl_ops-0.1.0-py3-none-manylinux_2_34_x86_64.whl"
    looked_into = {(status, path) for status, path, _ in web.answers if path.endswith(".whl")}
    assert looked_into == {(206 if knows_ranges else 200, f"/simple/files/{chosen.filename}")}
    web.answers.clear()
    again = make(f"{web.address}/simple", env=gpu_box).project("mimctl-ops").files
    assert again == files
    assert [path for _, path, _ in web.answers] == ["/simple/mimctl-ops/"]


def test_an_address_that_is_no_index_at_all_says_so(web, make):
    with pytest.raises(MimctlError) as caught:
        make(web.address).project("demo")
    assert caught.value.code == "not-an-index"


# Pages over HTTP


def test_pages_are_asked_for_as_json_and_both_kinds_are_understood(web, make, tmp_path):
    path = wheel(tmp_path)
    document = {
        "meta": {"api-version": "1.0"},
        "name": "demo",
        "files": [{"filename": path.name, "url": f"../../{path.name}", "hashes": {}, "size": 3}],
    }
    web.pages["/simple/demo/"] = (ACCEPTS_JSON, json.dumps(document).encode())
    file = make(index_url=f"{web.address}/simple").project("demo").files[0]
    assert (file.url, file.size) == (f"{web.address}/{path.name}", 3)


def test_links_count_from_where_a_page_was_found(web, other, make, tmp_path):
    other.add(wheel(tmp_path))
    web.redirects["/simple/demo/"] = f"{other.address}/simple/demo/"
    for _ in range(2):  # from the server, then unchanged from the cache
        file = make(index_url=f"{web.address}/simple").project("demo").files[0]
        assert file.url.startswith(other.address)


def test_an_unchanged_page_is_not_sent_again_and_a_fresh_one_not_asked_for(web, make, tmp_path):
    web.add(wheel(tmp_path))
    options = {"index_url": f"{web.address}/simple"}
    assert make(**options).project("demo").files
    assert make(**options).project("demo").files
    assert [status for status, *_ in web.answers] == [200, 304]
    web.headers["Cache-Control"] = "public, max-age=600"
    make(**options).project("demo")
    web.asked.clear()
    fresh = make(**options)
    assert fresh.project("demo").files
    assert web.asked == []
    web.add(wheel(tmp_path, "demo-2.0-py3-none-any.whl"))
    assert versions(fresh.project("demo")) == ["1.0"]
    assert fresh.refresh()
    assert versions(fresh.project("demo")) == ["1.0", "2.0"]
    assert not fresh.refresh()


def test_offline_reads_the_cache_or_names_what_is_missing(web, make, tmp_path):
    path = wheel(tmp_path)
    web.add(path, metadata=b"Name: demo\nVersion: 1.0\n")
    options = {"index_url": f"{web.address}/simple", "extra_index_urls": (f"{web.address}/more",)}
    online = make(**options)
    online.metadata(online.project("demo").files[0])
    online.fetch(online.project("demo").files[0])
    web.asked.clear()
    offline = make(offline=True, **options)
    file = offline.project("demo").files[0]
    assert offline.metadata(file).name == "demo"
    assert offline.fetch(file).read_bytes() == path.read_bytes()
    with pytest.raises(NetworkError) as caught:
        offline.project("other")
    assert (caught.value.code, caught.value.exit_code) == ("offline", 4)
    assert "/more/other/" in caught.value.message
    assert web.asked == []


def test_many_pages_are_read_at_once_and_each_once(web, make, tmp_path):
    names = [f"demo{number}" for number in range(20)]
    for name in names:
        web.add(wheel(tmp_path, f"{name}-1.0-py3-none-any.whl"))
    catalog = make(index_url=f"{web.address}/simple")
    catalog.prefetch([*names, "absent"])
    num_asked = len(web.asked)
    assert num_asked == 21
    assert all(versions(catalog.project(name)) == ["1.0"] for name in names)
    assert catalog.project("absent").files == ()
    assert len(web.asked) == num_asked


def test_passwords_of_an_index_show_nowhere(web, make, tmp_path):
    web.add(wheel(tmp_path))
    root = web.address.replace("://", "://me:hunter2@")
    found = make(index_url=f"{root}/simple").project("demo")
    assert found.looked_in == (f"{web.address.replace('://', '://***@')}/simple",)
    kept = b"".join(path.read_bytes() for path in (tmp_path / "cache").rglob("*") if path.is_file())
    assert b"hunter2" not in kept
    web.statuses["/simple/demo/"] = 500
    with pytest.raises(MimctlError) as caught:
        make(index_url=f"{root}/simple").project("demo")
    assert "hunter2" not in str(caught.value.to_dict())


# Metadata without the wheel

DEMO = (
    "Requires-Dist: numpy>=2\nRequires-Dist: rich; extra == 'Fancy_Out'\n"
    "Provides-Extra: Fancy_Out\nRequires-Python: >=3.9\n"
)


def test_metadata_from_the_document_beside_the_wheel(web, make, tmp_path):
    web.add(
        wheel(tmp_path, metadata="Summary: of the wheel\n"), metadata=f"Name: Demo\nVersion: 1.0\n{DEMO}\n".encode()
    )
    catalog = make(index_url=f"{web.address}/simple")
    found = catalog.metadata(catalog.project("demo").files[0])
    assert found.requires_dist == ("numpy>=2", "rich; extra == 'Fancy_Out'")
    assert (found.extras, found.requires_python) == (("fancy-out",), ">=3.9")
    assert [path for path in web.asked if path.endswith(".whl")] == []
    web.asked.clear()
    again = make(index_url=f"{web.address}/simple")
    again.metadata(again.project("demo").files[0])
    assert web.asked == ["/simple/demo/"]


def test_metadata_that_is_not_what_the_page_promised_is_refused(web, make, tmp_path):
    path = wheel(tmp_path)
    web.add(path, metadata=b"Name: demo\nVersion: 1.0\n")
    web.pages[f"/simple/files/{path.name}.metadata"] = (
        "text/plain",
        b"Name: demo\nVersion: 1.0\nRequires-Dist: evil\n",
    )
    catalog = make(index_url=f"{web.address}/simple")
    with pytest.raises(IntegrityError) as caught:
        catalog.metadata(catalog.project("demo").files[0])
    assert caught.value.code == "hash-mismatch"


def test_metadata_in_pieces_of_a_wheel_on_a_server(web, make, tmp_path):
    bulk = {f"demo/{number}.bin": bytes(str(number), "ascii") * 300_000 for number in range(9)}
    path = write_wheel(tmp_path, "demo-1.0-py3-none-any.whl", metadata=DEMO, extra=bulk)
    with zipfile.ZipFile(path) as old:
        members = {name: old.read(name) for name in old.namelist()}
    with zipfile.ZipFile(path, "w") as new:  # METADATA comes first, far from the archive's end
        for name in sorted(members, key=lambda each: not each.endswith("METADATA")):
            new.writestr(name, members[name])
    assert path.stat().st_size > 2_000_000
    web.add(path)
    catalog = make(index_url=f"{web.address}/simple")
    assert catalog.metadata(catalog.project("demo").files[0]).requires_dist[0] == "numpy>=2"
    pieces = [answer for answer in web.answers if answer[1].endswith(".whl")]
    assert {status for status, *_ in pieces} == {206}
    assert len(pieces) <= 3


def test_metadata_of_a_wheel_on_a_server_that_knows_no_pieces(web, make, tmp_path):
    web.knows_ranges = False
    path = wheel(tmp_path, metadata=DEMO)
    web.add(path)
    catalog = make(index_url=f"{web.address}/simple")
    file = catalog.project("demo").files[0]
    assert catalog.metadata(file).requires_python == ">=3.9"
    web.asked.clear()
    assert catalog.fetch(file).read_bytes() == path.read_bytes()
    assert web.asked == []


def test_the_promised_document_may_be_missing(web, make, tmp_path):
    path = wheel(tmp_path, metadata=DEMO)
    web.add(path, metadata=b"x")
    del web.pages[f"/simple/files/{path.name}.metadata"]
    catalog = make(index_url=f"{web.address}/simple")
    assert catalog.metadata(catalog.project("demo").files[0]).requires_python == ">=3.9"


@pytest.mark.parametrize(
    "said", ["Name: other\nVersion: 1.0\n", "Name: demo\nVersion: 1.1\n", "Version: 1.0\n", "\x00\xff"]
)
def test_metadata_of_something_else_is_refused(web, make, tmp_path, said):
    web.add(wheel(tmp_path), metadata=said.encode("latin-1"))
    catalog = make(index_url=f"{web.address}/simple")
    with pytest.raises(IntegrityError) as caught:
        catalog.metadata(catalog.project("demo").files[0])
    assert caught.value.code == "bad-wheel"


def test_metadata_as_old_as_the_format(web, make, tmp_path):
    web.add(wheel(tmp_path), metadata=b"Metadata-Version: 1.0\nName: demo\nVersion: 1.0\nSummary: UNKNOWN\n\nlong text")
    catalog = make(index_url=f"{web.address}/simple")
    found = catalog.metadata(catalog.project("demo").files[0])
    assert (found.requires_dist, found.requires_python, found.extras) == ((), None, ())


def test_an_index_of_mimctl_says_itself_what_its_wheels_need(make, tmp_path):
    catalog = make(str(site(tmp_path / "site", wheel(tmp_path))))
    found = catalog.metadata(catalog.project("demo").files[0])
    assert (found.requires_dist, found.extras) == (("numpy>=2; extra == 'more'",), ("more",))


@pytest.mark.parametrize("data", [b"", b"not a zip", b"PK\x05\x06" + bytes(18)])
def test_a_local_wheel_that_is_none(make, tmp_path, data):
    (tmp_path / "links").mkdir()
    (tmp_path / "links/demo-1.0-py3-none-any.whl").write_bytes(data)
    catalog = make(find_links=(str(tmp_path / "links"),))
    with pytest.raises(IntegrityError) as caught:
        catalog.metadata(catalog.project("demo").files[0])
    assert caught.value.code == "bad-wheel"


def test_metadata_that_somebody_else_laid_into_the_cache_is_not_believed(web, make, tmp_path):
    path = wheel(tmp_path, metadata=DEMO)
    web.add(path)
    catalog = make(index_url=f"{web.address}/simple")
    file = catalog.project("demo").files[0]
    catalog.metadata(file)
    kept = tmp_path / "cache/metadata" / str(file.sha256)
    kept.write_bytes(b"Name: demo\nVersion: 1.0\nRequires-Dist: evil\n")
    kept.chmod(0o666)  # anybody may have written it
    again = make(index_url=f"{web.address}/simple")
    assert again.metadata(file).requires_dist[0] == "numpy>=2"


# Wheels


def test_a_wheel_lies_in_the_cache_under_its_hash_and_is_verified_each_time(web, make, tmp_path):
    path = wheel(tmp_path)
    web.add(path)
    catalog = make(index_url=f"{web.address}/simple")
    file = catalog.project("demo").files[0]
    kept = catalog.fetch(file)
    assert kept == tmp_path / "cache/wheels" / str(file.sha256) / path.name
    web.asked.clear()
    catalog.fetch(file)
    assert web.asked == []
    kept.write_bytes(b"x" * kept.stat().st_size)
    assert catalog.fetch(file).read_bytes() == path.read_bytes()
    with pytest.raises(IntegrityError) as caught:
        catalog.fetch(replace(file, sha256="0" * 64))
    assert caught.value.code == "hash-mismatch"


def test_a_wheel_whose_hash_nobody_tells_gets_that_of_what_arrives(web, make, tmp_path):
    path = wheel(tmp_path)
    web.add(path, hashed=False)
    catalog = make(index_url=f"{web.address}/simple")
    kept = catalog.fetch(catalog.project("demo").files[0])
    assert kept.parent.name == hashlib.sha256(path.read_bytes()).hexdigest()
    assert list((tmp_path / "cache/wheels").rglob("*.whl")) == [kept]


# torch

CPU = TorchBuild(version="2.13.0", tag="cpu", reason="")


def torch_wheel(folder: Path, name: str, version: str) -> Path:
    return wheel(folder, f"{name}-{version}-py3-none-any.whl")


def test_torchs_own_index_serves_only_the_build_that_nobody_else_has(web, other, make, tmp_path):
    other.add(torch_wheel(tmp_path, "torch", "2.13.0"))
    other.add(torch_wheel(tmp_path, "numpy", "2.0"))
    for name, version in (("torch", "2.13.0+cpu"), ("torchvision", "0.28.0+cpu"), ("numpy", "99.0")):
        web.add(torch_wheel(tmp_path, name, version), root="/whl/cpu")
    options = {"index_url": f"{other.address}/simple", "torch_index": f"{web.address}/whl", "torch": CPU}
    found = make(**options)
    assert versions(found.project("torch")) == ["2.13.0+cpu"]
    assert found.project("torch").looked_in == (f"{other.address}/simple", f"{web.address}/whl/cpu")
    assert versions(found.project("torchvision")) == ["0.28.0+cpu"]
    assert versions(found.project("numpy")) == ["2.0"]
    assert "/whl/cpu/numpy/" not in web.asked


def test_pips_configuration_serves_torch_where_it_has_the_build(web, make, tmp_path):
    links = tmp_path / "links"
    torch_wheel(links, "torch", "2.13.0+cpu")
    found = make(find_links=(str(links),), torch_index=f"{web.address}/whl", torch=CPU)
    assert versions(found.project("torch")) == ["2.13.0+cpu"]
    assert web.asked == []


def test_what_torch_needs_comes_from_its_index_where_nobody_else_has_it(web, make, tmp_path):
    web.add(torch_wheel(tmp_path, "nvidia_cuda_runtime", "13.0"), root="/whl/cpu")
    web.add(torch_wheel(tmp_path, "pytorch_triton_rocm", "3.0"), root="/whl/cpu")
    links = tmp_path / "links"
    torch_wheel(links, "pytorch_triton_rocm", "99.0")
    found = make(find_links=(str(links),), torch_index=f"{web.address}/whl", torch=CPU)
    assert versions(found.project("nvidia-cuda-runtime")) == ["13.0"]
    assert versions(found.project("pytorch-triton-rocm")) == ["3.0"]


def test_torchs_index_hides_what_it_has_not(web, other, make, tmp_path):
    """Its store answers 403 to names that it does not hold; configured as an extra index it must not end everything."""
    other.add(wheel(tmp_path))
    web.statuses["/whl/cpu/demo/"] = 403
    options = {"extra_index_urls": (f"{web.address}/whl/cpu",), "index_url": f"{other.address}/simple"}
    assert versions(make(torch_index=f"{web.address}/whl", **options).project("demo")) == ["1.0"]
    with pytest.raises(MimctlError):
        make(torch_index="https://elsewhere/whl", **options).project("demo")

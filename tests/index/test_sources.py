"""pip's and uv's configuration is read as they read it themselves, without starting them."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mimctl.errors import ConfigError
from mimctl.index.pip_files import read_pip
from mimctl.index.sources import PackageSources, read_sources, transfer_settings
from mimctl.settings import PACKAGE_INDEX
from mimctl.transfer import TransferSettings, Way


@pytest.fixture
def home(tmp_path):
    """A person's home with nothing in it; the machine's own configuration stays out of the way."""
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


def environ(home: Path, **variables: str) -> dict[str, str]:
    return {"HOME": str(home), "XDG_CONFIG_DIRS": str(home / "xdg"), "PATH": os.environ["PATH"], **variables}


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def only_uv(environ, **options) -> PackageSources:
    """Read with pip's files switched off: `PIP_CONFIG_FILE` says so, to pip as well."""
    return read_sources({**environ, "PIP_CONFIG_FILE": os.devnull}, **options)


def test_nothing_configured_is_pips_default(home):
    found = only_uv(environ(home))
    assert found.indexes == (PACKAGE_INDEX,)
    assert (found.find_links, found.no_index, found.cert, found.configured) == ((), False, None, ())


def test_variables_come_before_files_and_files_of_the_user_before_those_of_all(home, tmp_path):
    write(home / "xdg/pip/pip.conf", "[global]\nindex-url = http://all/simple\nproxy = http://all:1\ntimeout = 7\n")
    write(home / ".pip/pip.conf", "[global]\nproxy = http://old:1\ncert = /old.pem\n")
    write(home / ".config/pip/pip.conf", "[global]\ncert = /new.pem\n")
    write(tmp_path / "venv/pip.conf", "[global]\ntimeout = 9\n")
    given = {
        each.key: each for each in read_pip(environ(home), prefix=tmp_path / "venv") if "/etc/" not in each.origin.file
    }
    assert given["proxy"].value == "http://old:1"
    assert (given["cert"].value, given["timeout"].value) == ("/new.pem", "9")
    assert str(given["cert"].origin) == f"{home}/.config/pip/pip.conf:2"
    with_variable = read_sources(environ(home, PIP_PROXY="http://me:1", PIP_CERT=""), python_prefix=tmp_path / "venv")
    assert with_variable.proxy == "http://me:1"
    assert with_variable.cert == Path("/new.pem")  # an empty variable says nothing


def test_the_section_of_the_command_counts_more_than_a_stronger_file(home, tmp_path):
    write(home / "xdg/pip/pip.conf", "[install]\nindex-url = http://install/simple\n")
    write(
        home / ".config/pip/pip.conf", "[global]\nindex-url = http://global/simple\n[download]\nindex-url = http://no\n"
    )
    assert read_sources(environ(home)).index_url == "http://install/simple"


def test_a_named_file_stands_for_the_users(home, tmp_path):
    write(home / ".config/pip/pip.conf", "[global]\nindex-url = http://user/simple\nproxy = http://user:1\n")
    named = write(tmp_path / "named.conf", "[global]\nindex-url = http://named/simple\n")
    found = read_sources(environ(home, PIP_CONFIG_FILE=str(named)))
    assert (found.index_url, found.proxy) == ("http://named/simple", None)
    absent = read_sources(environ(home, PIP_CONFIG_FILE=str(tmp_path / "absent")))
    assert absent.index_url == "http://user/simple"


def test_no_file_is_read_where_the_named_one_is_the_null_device(home):
    write(home / ".config/pip/pip.conf", "[global]\nindex-url = http://user/simple\n")
    found = read_sources(
        environ(home, PIP_CONFIG_FILE=os.devnull, PIP_EXTRA_INDEX_URL="http://a/simple http://b/simple/")
    )
    assert found.indexes == ("http://a/simple", "http://b/simple", PACKAGE_INDEX)


def test_lists_stand_on_several_lines_and_keys_in_both_spellings(home):
    write(
        home / ".config/pip/pip.conf",
        "[global]\nfind_links =\n    /a\n    /b c\nextra-index-url=http://x/simple\nno-index: yes\n",
    )
    found = read_sources(environ(home))
    assert found.find_links == ("/a", "/b", "c")
    assert found.no_index
    assert found.indexes == ()


@pytest.mark.parametrize(
    "text", ["[global\nindex-url = http://u:hunter2@h/simple", "index-url = http://u:hunter2@h/simple"]
)
def test_a_file_that_is_none_is_named_without_its_secrets(home, text):
    path = write(home / ".config/pip/pip.conf", text)
    with pytest.raises(ConfigError) as caught:
        read_sources(environ(home))
    assert caught.value.origin.file == str(path)
    assert "hunter2" not in str(caught.value.to_dict())


def test_pip_itself_says_the_same(home, tmp_path):
    """Of the same files and variables, `pip config list` prints what was read."""
    write(
        home / "xdg/pip/pip.conf",
        "[global]\nindex-url = http://all/simple\nextra-index-url = http://e1/s http://e2/s\n",
    )
    write(home / ".pip/pip.conf", "[global]\ntrusted-host = one two\nclient_cert = /client.pem\n")
    write(home / ".config/pip/pip.conf", "[install]\nindex-url = http://install/simple\n[global]\ntimeout = 3\n")
    variables = environ(home, PIP_FIND_LINKS="/here /there", PIP_NO_INDEX="0", PIP_PROXY="http://p:3128")
    argv = [sys.executable, "-m", "pip", "config", "list"]
    said = subprocess.run(argv, env=variables, capture_output=True, text=True, check=True).stdout
    theirs: dict[str, str] = {}
    for rank in ("global.", "install.", ":env:."):
        for line in said.splitlines():
            name, _, value = line.partition("=")
            if name.startswith(rank):
                theirs[name.removeprefix(rank).replace("_", "-")] = ast.literal_eval(value)
    ours: dict[str, str] = {}
    for each in read_pip(variables, prefix=Path(sys.prefix)):
        ours[each.key] = f"{ours[each.key]} {each.value}" if each.key in ours else each.value
    assert {key: " ".join(value.split()) for key, value in theirs.items() if key in ours} == ours
    assert ours["index-url"] == "http://install/simple"
    assert ours["find-links"] == "/here /there"


def test_options_add_to_what_is_configured_and_come_first(home):
    variables = environ(
        home, PIP_INDEX_URL="http://pip/simple", PIP_EXTRA_INDEX_URL="http://extra/simple", PIP_FIND_LINKS="/f"
    )
    found = only_uv(
        variables, index_url="http://typed/simple", extra_index_urls=["http://mine/simple"], find_links=["/g"]
    )
    assert found.indexes == ("http://mine/simple", "http://extra/simple", "http://typed/simple")
    assert found.find_links == ("/g", "/f")
    assert only_uv(variables, no_index=True).indexes == ()


def test_uvs_configuration_fills_in_what_pip_has_not(home):
    write(
        home / ".config/uv/uv.toml",
        'find-links = ["wheels"]\nno-index = false\n'
        '[[index]]\nname = "corp"\nurl = "https://corp/simple"\n'
        '[[index]]\nname = "torch"\nurl = "https://torch/whl"\nexplicit = true\n'
        '[[index]]\nurl = "https://mirror/simple"\ndefault = true\n'
        '[[index]]\nurl = "https://flat/page.html"\nformat = "flat"\n',
    )
    found = only_uv(environ(home))
    assert found.indexes == ("https://corp/simple", "https://mirror/simple")
    assert found.find_links == ("https://flat/page.html", f"{home}/.config/uv/wheels")
    with_pip = only_uv(environ(home, PIP_INDEX_URL="http://pip/simple", PIP_EXTRA_INDEX_URL="http://extra/simple"))
    assert with_pip.indexes == ("http://extra/simple", "https://corp/simple", "http://pip/simple")


def test_uvs_variables_with_names_and_logins(home):
    found = only_uv(
        environ(
            home,
            UV_INDEX="corp=https://corp/simple https://other/simple",
            UV_DEFAULT_INDEX="main=https://main/simple",
            UV_INDEX_CORP_USERNAME="me",
            UV_INDEX_CORP_PASSWORD="hunter2",
            UV_FIND_LINKS="/a,/b",
            UV_OFFLINE="1",
        )
    )
    assert found.indexes == ("https://me:hunter2@corp/simple", "https://other/simple", "https://main/simple")
    assert (found.find_links, found.offline) == (("/a", "/b"), True)
    assert "hunter2" not in repr(found)
    assert "https://***@corp/simple" in [each.shown for each in found.configured]


def test_the_table_pip_of_uv_counts_more(home):
    write(home / ".config/uv/uv.toml", 'index-url = "http://top/simple"\n[pip]\nindex-url = "http://pip/simple"\n')
    assert only_uv(environ(home)).index_url == "http://pip/simple"


def test_uvs_files_are_switched_off_or_replaced(home, tmp_path):
    write(home / ".config/uv/uv.toml", 'index-url = "http://user/simple"\n')
    named = write(tmp_path / "other.toml", 'index-url = "http://named/simple"\n')
    assert only_uv(environ(home)).index_url == "http://user/simple"
    assert only_uv(environ(home, UV_NO_CONFIG="1")).index_url == PACKAGE_INDEX
    assert only_uv(environ(home, UV_CONFIG_FILE=str(named))).index_url == "http://named/simple"


def test_a_projects_uv_file_is_left_alone(home, tmp_path, monkeypatch):
    write(tmp_path / "clone/uv.toml", 'index-url = "http://evil/simple"\n')
    monkeypatch.chdir(tmp_path / "clone")
    assert only_uv(environ(home)).index_url == PACKAGE_INDEX


def test_certificates_in_pips_order(home):
    assert only_uv(environ(home, PIP_CERT="/pip.pem", SSL_CERT_FILE="/uv.pem")).cert == Path("/pip.pem")
    assert only_uv(environ(home, SSL_CERT_FILE="/uv.pem")).cert == Path("/uv.pem")
    # requests reads this one by itself
    assert only_uv(environ(home, SSL_CERT_FILE="/uv.pem", REQUESTS_CA_BUNDLE="/r.pem")).cert is None


def test_transfers_take_the_way_that_is_configured(home):
    variables = environ(
        home,
        PIP_PROXY="http://proxy:3128",
        PIP_TRUSTED_HOST="h:8443",
        PIP_CLIENT_CERT="/me.pem",
        PIP_DEFAULT_TIMEOUT="99",
    )
    sources = only_uv(variables)
    found = transfer_settings(TransferSettings(timeout_s=30), sources)
    assert found.way == Way(proxy="http://proxy:3128", trusted_hosts=("h:8443",), client_cert=Path("/me.pem"))
    assert found.timeout_s == 99
    assert transfer_settings(TransferSettings(timeout_s=2), sources, keeps_timeout=True).timeout_s == 2
    assert transfer_settings(TransferSettings(offline=True), sources).offline


@pytest.mark.parametrize(
    ("system", "folder"),
    [
        ("darwin", "Library/Application Support/pip/pip.conf"),
        ("darwin", ".config/pip/pip.conf"),
        ("win32", "pip/pip.ini"),
    ],
)
def test_other_systems_keep_it_elsewhere(home, system, folder):
    write(home / folder, "[global]\nindex-url = http://user/simple\n")
    variables = {
        "HOME": str(home),
        "USERPROFILE": str(home),
        "APPDATA": str(home / "none"),
        "PROGRAMDATA": str(home / "x"),
    }
    assert read_sources(variables, system=system).index_url == "http://user/simple"

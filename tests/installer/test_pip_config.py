"""pip's own configuration, read from what pip prints, and what of it works offline."""

from __future__ import annotations

from pathlib import Path

from mimctl.installer.backend import UvBackend
from mimctl.installer.pip_config import PipConfig, parse_pip_config

LISTED = """\
:env:.cert='/env/ca.pem'
:env:.default-timeout='180'
download.index-url='https://wrong.example'
global.cert='/global/ca.pem'
global.extra-index-url='file:///opt/one/simple https://two.example/simple'
global.find-links='/srv/wheels'
global.index-url='https://global.example/simple'
global.trusted-host='a.example\\nb.example'
install.index-url='https://install.example/simple'
install.no-index='false'
""".splitlines()


def test_sections_in_pips_order():
    assert parse_pip_config(LISTED) == PipConfig(
        index_url="https://install.example/simple",
        extra_index_urls=("file:///opt/one/simple", "https://two.example/simple"),
        find_links=("/srv/wheels",),
        cert="/env/ca.pem",
        trusted_hosts=("a.example", "b.example"),
    )


def test_nothing_configured():
    assert parse_pip_config([]) == PipConfig()
    assert parse_pip_config(["WARNING: something", "global.index-url=unquoted words"]) == PipConfig()


def test_offline_keeps_local_addresses_only():
    config = parse_pip_config(LISTED).local_only()
    assert config.index_url == "file:///opt/one/simple"
    assert config.extra_index_urls == ()
    assert config.find_links == ("/srv/wheels",)
    assert PipConfig(index_url="https://x.example").local_only().no_index


def test_uv_gets_pips_configuration_unless_it_has_its_own(tmp_path):
    environ = {
        "PATH": "/usr/bin:/bin",
        "PIP_CONFIG_FILE": "/dev/null",
        "PIP_INDEX_URL": "https://index.example/simple",
        "PIP_FIND_LINKS": "/opt/a /opt/b",
    }

    def options(**more):
        python = tmp_path / "bin/python"
        backend = UvBackend(python=python, uv=Path("uv"), version="1", environ={**environ, **more})
        return backend._indexes()

    assert options() == [
        *("--index-strategy", "unsafe-best-match"),
        *("--index-url", "https://index.example/simple"),
        *("--find-links", "/opt/a", "--find-links", "/opt/b"),
    ]
    assert options(UV_DEFAULT_INDEX="https://uv.example") == []

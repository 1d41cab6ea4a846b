"""A file is hashed while it comes: who wants to know its hash afterwards need not read it again."""

from __future__ import annotations

import hashlib
import random
from pathlib import Path

import pytest
from static_server import serving

from mimctl.settings import Settings
from mimctl.transfer import TransferSettings
from mimctl.transfer.fetch import fetch_file
from mimctl.transfer.verify import Expected
from mimctl.zoo.model import WeightsSource
from mimctl.zoo.weights import obtain

SHORT, LONG = (random.Random(seed).randbytes(size) for seed, size in ((1, 5000), (2, 6 << 20)))
"""One that is hashed when it is there, and one that is long enough to be hashed meanwhile."""


@pytest.mark.parametrize("body", [SHORT, LONG], ids=["short", "long"])
def test_what_was_hashed_to_verify_a_file_is_told(body: bytes, tmp_path: Path) -> None:
    (tmp_path / "served").mkdir()
    (tmp_path / "served" / "file.bin").write_bytes(body)
    sha256, md5 = hashlib.sha256(body).hexdigest(), hashlib.md5(body).hexdigest()
    shared = tmp_path / "shared"
    with serving(tmp_path / "served") as server:
        url, dest = f"{server.address}/file.bin", tmp_path / "file.bin"
        for expected, told in (
            (Expected(sha256_prefix=sha256[:8]), {"sha256": sha256}),
            (Expected(sha256_prefix=sha256[:8]), {"sha256": sha256}),  # it is there already
            (Expected(md5=md5), {"md5": md5}),
            (Expected(), {}),
        ):
            assert fetch_file(url, dest, expected) == told
        settings = TransferSettings(shared_cache=shared)
        for name in ("one", "two"):
            place = tmp_path / name / "file.bin"
            assert fetch_file(url, place, Expected(sha256=sha256), settings=settings) == {"sha256": sha256}
    assert (shared / sha256 / "file.bin").is_file()
    copied = fetch_file(dest.as_uri(), tmp_path / "copy.bin", Expected(sha256_prefix=sha256[:8]))
    assert copied == {"sha256": sha256}


def test_weights_with_digits_in_their_name_are_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(cache_dir=tmp_path / "cache", home=tmp_path / "home")
    sha256 = hashlib.sha256(LONG).hexdigest()
    (tmp_path / "served").mkdir()
    (tmp_path / "served" / f"model-{sha256[:8]}.pth").write_bytes(LONG)
    for place in ("mimctl.transfer.verify", "mimctl.zoo.mirrors"):
        monkeypatch.setattr(f"{place}.sha256_of", lambda path: pytest.fail(f"{path} is read again"))
    with serving(tmp_path / "served") as server:
        source = WeightsSource(url=f"{server.address}/model-{sha256[:8]}.pth", sha8=sha256[:8])
        found = obtain(source, settings=settings)
    assert (found.sha256, found.check, found.is_new) == (sha256, "32-bit", True)
    assert found.path.parent.name == sha256

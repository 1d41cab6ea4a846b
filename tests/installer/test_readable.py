"""An environment that several users share stays readable to all of them under any umask; a private one private."""

from __future__ import annotations

import os
import stat

import pytest


def modes(bench) -> dict[str, int]:
    """Return the mode of every file and folder that an installation of `numpy` brought."""
    site = bench.env.paths.purelib
    places = [site / "numpy.py", *site.glob("numpy-*.dist-info"), *site.glob("numpy-*.dist-info/*")]
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in places}


@pytest.mark.parametrize(("folder", "file_bits", "folder_bits"), [(0o755, 0o044, 0o055), (0o2775, 0o064, 0o075)])
def test_what_is_shared_can_be_read_by_all(bench, folder, file_bits, folder_bits):
    bench.put_torch("2.13.0+cpu")
    bench.env.paths.purelib.chmod(folder)
    before = os.umask(0o077)
    try:
        bench.install("numpy")
    finally:
        os.umask(before)
    for name, mode in modes(bench).items():
        wanted = folder_bits if name.endswith(".dist-info") else file_bits
        assert mode & wanted == wanted, (name, oct(mode))


def test_what_is_private_stays_so(bench):
    bench.put_torch("2.13.0+cpu")
    bench.env.paths.purelib.chmod(0o700)
    before = os.umask(0o077)
    try:
        bench.install("numpy")
    finally:
        os.umask(before)
    assert {mode & 0o077 for mode in modes(bench).values()} == {0}

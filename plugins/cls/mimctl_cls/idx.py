"""IDX files, MNIST's format: a magic number, the sizes (big-endian 32 bits each), then one byte a value.

Source: http://yann.lecun.com/exdb/mnist/, "the IDX file format".
"""

from __future__ import annotations

import gzip
import io
import math
import zlib

import numpy as np
import numpy.typing as npt

from mimctl.engine.files import fileio
from mimctl.engine.files.datafiles import bad_annotations

GZIP_MAGIC = b"\x1f\x8b"
UNSIGNED_BYTE = 8
MOST_BYTES = 2**30
SPELLINGS = ("{}-idx{}-ubyte", "{}-idx{}-ubyte.gz", "{}.idx{}-ubyte", "{}.idx{}-ubyte.gz")


def find_idx(folder: str, stem: str, dimensions: int) -> str | None:
    """Return the file of `t10k-images` (or another stem) in a folder, in any of the usual spellings; None for none."""
    paths = (fileio.join(folder, each.format(stem, dimensions)) for each in SPELLINGS)
    return next((path for path in paths if fileio.exists(path)), None)


def read_idx(path: str, dimensions: int) -> npt.NDArray[np.uint8]:
    """Return the uint8 array of an IDX file with that many dimensions, compressed with gzip or not.

    No more is unpacked than the header speaks of (1 GiB at most). Raises MimctlError[missing-file], and
    MimctlError[bad-annotations] with the file for whatever is wrong with it.
    """
    data = fileio.get(path)
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) if data[:2] == GZIP_MAGIC else io.BytesIO(data) as stream:
            shape = _shape(stream.read(4 + 4 * dimensions), dimensions, path)
            body = stream.read(math.prod(shape) + 1)
    except (EOFError, gzip.BadGzipFile, zlib.error) as err:
        raise bad_annotations(path, "is no whole gzip file", str(err)) from err
    if len(body) != math.prod(shape):
        held = f"{len(body)}" if len(body) < math.prod(shape) else "more"
        size = " x ".join(map(str, shape))
        raise bad_annotations(path, f"holds {held} bytes, and its header speaks of {math.prod(shape)} ({size})")
    return np.frombuffer(body, np.uint8).reshape(shape)


def _shape(header: bytes, dimensions: int, path: str) -> tuple[int, ...]:
    if len(header) < 4 + 4 * dimensions or header[:2] != b"\0\0":
        raise bad_annotations(path, "is no IDX file", f"it begins with {header[:8].hex(' ') or 'nothing'}")
    if header[2] != UNSIGNED_BYTE or header[3] != dimensions:
        raise bad_annotations(
            path,
            f"is an IDX file of {header[3]} dimensions and value type 0x{header[2]:02x}",
            f"{dimensions} dimensions of bytes (0x08) are wanted here",
        )
    shape = tuple(int.from_bytes(header[at : at + 4], "big") for at in range(4, 4 + 4 * dimensions, 4))
    if math.prod(shape) > MOST_BYTES:
        raise bad_annotations(path, f"its header speaks of {math.prod(shape)} bytes, more than {MOST_BYTES}")
    return shape

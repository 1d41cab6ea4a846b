"""The part of mimctl that looks at a machine, packed to be sent to where no mimctl is installed."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import mimctl

OPEN = """\
import pathlib, sys, tempfile
with tempfile.TemporaryDirectory(prefix="mimctl-env-") as folder:
    archive = pathlib.Path(folder, "parcel.zip")
    archive.write_bytes(sys.stdin.buffer.read())
    sys.path.insert(0, str(archive))
    from mimctl.environment.on_node import main
    main()
"""
"""What an interpreter is told (`python -c`) that gets the parcel on its standard input."""

_FILES = ("__init__.py", "errors.py", "environment/*.py")
_STAMP = (2000, 1, 1, 0, 0, 0)


def pack() -> bytes:
    """Return the sources as a zip file, the same bytes for the same sources."""
    package = Path(mimctl.__file__).parent
    found = io.BytesIO()
    with zipfile.ZipFile(found, "w", zipfile.ZIP_DEFLATED) as archive:
        for pattern in _FILES:
            for path in sorted(package.glob(pattern)):
                name = f"mimctl/{path.relative_to(package).as_posix()}"
                archive.writestr(zipfile.ZipInfo(name, _STAMP), path.read_bytes(), zipfile.ZIP_DEFLATED)
    return found.getvalue()

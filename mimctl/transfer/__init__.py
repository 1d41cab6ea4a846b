"""Fetch files and small documents from paths, `file://` and HTTP: resumed, retried, checked, placed atomically.

The only room that imports requests, and only while something is fetched.
"""

from mimctl.transfer.address import is_remote, local_path, redact
from mimctl.transfer.fetch import download
from mimctl.transfer.login import Logins
from mimctl.transfer.model import FileProgress, Job, Note, Piece, Progress, Response, TransferSettings
from mimctl.transfer.ranges import read_range
from mimctl.transfer.read import get_bytes
from mimctl.transfer.staging import download_all
from mimctl.transfer.storage import locked, write_file
from mimctl.transfer.verify import sha256_of

__all__ = [
    "FileProgress",
    "Job",
    "Logins",
    "Note",
    "Piece",
    "Progress",
    "Response",
    "TransferSettings",
    "download",
    "download_all",
    "get_bytes",
    "is_remote",
    "local_path",
    "locked",
    "read_range",
    "redact",
    "sha256_of",
    "write_file",
]

"""Fetch files and small documents from paths, servers and stores: resumed, retried, checked, placed atomically.

The only room that imports requests, and only while something is fetched. What it offers is imported when it is asked
for: showing an address without its password needs no sockets.
"""

from __future__ import annotations

from mimctl.late_imports import late_imports

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mimctl.transfer.address import is_elsewhere, is_remote, local_path, redact
    from mimctl.transfer.document import Piece, Response
    from mimctl.transfer.fetch import download
    from mimctl.transfer.login import Logins
    from mimctl.transfer.model import FileProgress, Job, Note, Progress, TransferSettings, Way
    from mimctl.transfer.ranges import read_range
    from mimctl.transfer.read import get_bytes
    from mimctl.transfer.staging import download_all
    from mimctl.transfer.storage import locked, write_file
    from mimctl.transfer.verify import sha256_of

_PLACES = {
    "FileProgress": "model",
    "Job": "model",
    "Logins": "login",
    "Note": "model",
    "Piece": "document",
    "Progress": "model",
    "Response": "document",
    "TransferSettings": "model",
    "Way": "model",
    "download": "fetch",
    "download_all": "staging",
    "get_bytes": "read",
    "is_elsewhere": "address",
    "is_remote": "address",
    "local_path": "address",
    "locked": "storage",
    "read_range": "ranges",
    "redact": "address",
    "sha256_of": "verify",
    "write_file": "storage",
}

__all__ = [
    "FileProgress",
    "Job",
    "Logins",
    "Note",
    "Piece",
    "Progress",
    "Response",
    "TransferSettings",
    "Way",
    "download",
    "download_all",
    "get_bytes",
    "is_elsewhere",
    "is_remote",
    "local_path",
    "locked",
    "read_range",
    "redact",
    "sha256_of",
    "write_file",
]

__getattr__, __dir__ = late_imports(__name__, {name: f"{__name__}.{room}" for name, room in _PLACES.items()})

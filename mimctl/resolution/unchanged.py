"""Whether what is installed is what an index has under the same version: the same file, another build, or changed."""

from __future__ import annotations

from mimctl.errors import IntegrityError
from mimctl.index.model import IndexFile
from mimctl.resolution.model import Present
from mimctl.selection.order import public_version


def is_sibling(there: Present, file: IndexFile) -> bool:
    """Return whether `file` is a build of the version that is installed; builds differ in their labels."""
    return file.build is not None and public_version(there.version) == public_version(file.version)


def is_installed_from(there: Present, file: IndexFile) -> bool:
    """Return whether the installed distribution is `file`, by the recorded hash or else by its build.

    One build may bear two versions, with its label (for mimctl) and without (for pip): these are the same.
    """
    if there.version != file.version:
        return is_sibling(there, file) and file.build is not None and there.backend == file.build.backend
    if there.sha256 is not None and file.sha256 is not None:
        return there.sha256 == file.sha256
    return file.build is None or there.backend == file.build.backend


def is_another_build(there: Present, file: IndexFile) -> bool:
    """Return whether `file` is made for another backend on purpose."""
    return file.build is not None and there.backend != file.build.backend


def other_hash(there: Present, file: IndexFile) -> IntegrityError:
    """Return the error for a file that bears the version that is installed, and is not the file it came from."""
    return IntegrityError(
        f"`{file.filename}` is not the file that {there.name} {there.version} was installed from",
        code="hash-changed",
        causes=[f"sha256 installed {there.sha256}", f"sha256 offered   {file.sha256}"],
        hints=[
            "a version is published once: ask who serves the index why it changed",
            f"if that is on purpose: `mimctl install {there.name} --reinstall`",
        ],
        details={"expected": there.sha256, "found": file.sha256},
    )
